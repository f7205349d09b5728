// A durable pixel with Express and kafkajs: the answer waits for the acknowledgement of all replicas.
// Takes KAFKA, TOPIC, PORT and FLUSH_MS from the environment. With FLUSH_MS=0 each impression is a send of its own;
// above 0 the impressions of so many milliseconds share one, which is the best form kafkajs allows.
"use strict";

const express = require("express");
const { Kafka, logLevel } = require("kafkajs");
const { randomUUID } = require("node:crypto");

const { KAFKA, TOPIC, PORT, FLUSH_MS } = process.env;
const GIF = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");
const ACKNOWLEDGED_BY_ALL = -1;

const kafka = new Kafka({ clientId: "express-peer", brokers: KAFKA.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({ allowAutoTopicCreation: false });

const send = (messages) => producer.send({ topic: TOPIC, acks: ACKNOWLEDGED_BY_ALL, messages });

let waiting = [];

function flush() {
  const batch = waiting;
  waiting = [];
  send(batch.map(({ message }) => message)).then(
    () => batch.forEach(({ resolve }) => resolve()),
    (error) => batch.forEach(({ reject }) => reject(error)),
  );
}

function sendBatched(message) {
  return new Promise((resolve, reject) => {
    waiting.push({ message, resolve, reject });
    if (waiting.length === 1) setTimeout(flush, Number(FLUSH_MS));
  });
}

const log = Number(FLUSH_MS) > 0 ? sendBatched : (message) => send([message]);

const app = express();
app.disable("x-powered-by");
app.disable("etag");

app.get("/impression", async (request, response) => {
  const token = request.query.t;
  const event = { type: "impression_recorded", id: randomUUID(), at: new Date().toISOString(), token };
  await log({ key: token.slice(0, 36), value: JSON.stringify(event) });
  response.set("Cache-Control", "no-store").type("gif").send(GIF);
});

producer.connect().then(() => app.listen(Number(PORT), "127.0.0.1"));
