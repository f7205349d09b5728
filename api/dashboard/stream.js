// Server-sent events over fetch, because EventSource cannot send an Authorization header.

import { SignedOut, authorizedFetch } from "/dashboard/access.js";

const SILENCE_MAX_MS = 25_000;
const WAIT_MAX_MS = 15_000;

/**
 * Follows `path` for ever, coming back whenever the stream ends or breaks.
 * `onMessage(object)` gets every message, `onState("connecting" | "open" | "lost", detail)` what became of the
 * connection. Returns only when signed out, by throwing SignedOut, or when `signal` is aborted.
 */
export async function follow(path, { onMessage, onState, signal }) {
  let retryMs = 2_000;
  let failures = 0;
  while (!signal.aborted) {
    onState("connecting");
    try {
      const response = await authorizedFetch(path, "text/event-stream", signal);
      onState("open");
      for await (const event of eventsOf(response.body)) {
        failures = 0;
        if (event.retry) retryMs = event.retry;
        if (event.data) onMessage(JSON.parse(event.data));
      }
    } catch (error) {
      if (error instanceof SignedOut || signal.aborted) throw error;
      failures += 1;
      const waitMs = Math.min(retryMs * 1.6 ** (failures - 1), WAIT_MAX_MS);
      onState("lost", { reason: error.message, waitMs });
      await sleep(waitMs, signal);
    }
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await withinSilence(reader.read());
      if (done) return;
      text += value.replaceAll("\r\n", "\n");
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) yield parse(block);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** A heartbeat comes every ten seconds: longer silence is a dead connection that nobody has told us about. */
function withinSilence(promise) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the connection went silent")), SILENCE_MAX_MS);
  });
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
}

function parse(block) {
  const event = { data: "" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === "data") event.data += (event.data && "\n") + value;
    if (field === "retry") event.retry = Number(value);
  }
  return event;
}

function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
