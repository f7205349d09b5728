// The live part of the board: tiles, latency, outcomes, projections. One message a second redraws all of it.

import { lineChart, sparkline } from "/dashboard/charts.js";
import { byId, h } from "/dashboard/element.js";
import { NOTHING, count, milliseconds, money, percent, rate, words } from "/dashboard/format.js";

const SECONDS_SHOWN = 120;
const SECONDS_SHOWN_AT_FIRST = 40;
const SMOOTHED_OVER = 5;
const REFUSALS = ["refused", "no_bid", "timeout", "error", "skipped"];
const PERCENTILES = ["p50", "p95", "p99"];
const LATENCY_SCALES_MS = [10, 25, 50, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000];

const history = [];

/** Takes one message of the stream and shows it with those before. */
export function showFigures(message) {
  history.push(message);
  if (history.length > SECONDS_SHOWN) history.shift();
  drawTiles();
  drawLatency();
  drawOutcomes();
  drawProjections(message.lag);
}

function series(read) {
  return history.map((message) => read(message) ?? null);
}

/** How many samples a chart has room for: it fills up early and then covers more and more time. */
function slots() {
  return Math.max(history.length, SECONDS_SHOWN_AT_FIRST);
}

/** A count as a rate: a message covers a little more than a second. */
function perSecond(read) {
  return (message) => read(message) / message.seconds;
}

function recent(read) {
  const last = series(read).slice(-SMOOTHED_OVER).filter((each) => each !== null);
  return last.length ? last.reduce((sum, each) => sum + each, 0) / last.length : 0;
}

function total(read) {
  return series(read).reduce((sum, each) => sum + (each ?? 0), 0);
}

// -- tiles ---------------------------------------------------------------------------------------

function drawTiles() {
  const auctions = total((m) => m.auctions);
  const wins = total((m) => m.wins);
  const seen = total((m) => m.impressions);
  byId("tiles").replaceChildren(
    rateTile("Auctions", (m) => m.auctions, `${count(auctions)} in view`),
    rateTile("Bids", (m) => m.bids, `${ratio(total((m) => m.bids), auctions)} per auction`),
    rateTile("Wins", (m) => m.wins, `${ratio(wins, auctions)} per auction`),
    rateTile("Impressions", (m) => m.impressions, `${percent(seen, wins)} of wins seen`),
    rateTile("Clicks", (m) => m.clicks, `${percent(total((m) => m.clicks), seen)} of impressions`),
    ...spendTiles(),
  );
}

function ratio(part, whole) {
  return whole ? (part / whole).toFixed(2) : NOTHING;
}

function rateTile(title, read, aside) {
  return tile(title, rate(recent(perSecond(read))), "/s", aside, perSecond(read));
}

/** Money of different currencies is never added up. */
function spendTiles() {
  const currencies = [...new Set(history.flatMap((m) => Object.keys(m.spend)))].sort();
  return (currencies.length ? currencies : [""]).map((currency) => {
    const read = (m) => Number(m.spend[currency] ?? 0);
    return tile("Spend", money(recent(perSecond(read)) * 60), `${currency}/min`, `${money(total(read))} in view`, read);
  });
}

function tile(title, figure, unit, aside, read) {
  return h(
    "article",
    { class: "tile", "data-tile": title.toLowerCase() },
    h("h3", {}, title),
    h("p", { class: "figure" }, figure, h("small", {}, unit)),
    h("p", { class: "aside" }, aside),
    sparkline(series(read), slots()),
  );
}

// -- latency -------------------------------------------------------------------------------------

function drawLatency() {
  const newest = history.findLast((m) => m.held_ms.p50 !== null)?.held_ms ?? {};
  const lines = PERCENTILES.map((name) => ({ name, samples: series((m) => m.held_ms[name]) }));
  const highest = Math.max(0, ...lines.flatMap((line) => line.samples.map((each) => each ?? 0)));
  const top = LATENCY_SCALES_MS.find((scale) => scale >= highest) ?? highest;
  const figures = PERCENTILES.map((name) =>
    h(
      "div",
      {},
      h("dt", {}, h("span", { class: `dot ${name}` }), name),
      h("dd", {}, milliseconds(newest[name])),
    ),
  );
  byId("latency").replaceChildren(
    h("dl", { class: "percentiles" }, ...figures),
    h(
      "div",
      { class: "chart-frame" },
      lineChart(lines, slots(), top, "Percentiles of the last two minutes"),
      h("span", { class: "top" }, `${top} ms`),
    ),
  );
}

// -- outcomes ------------------------------------------------------------------------------------

function drawOutcomes() {
  const won = total((m) => m.wins);
  const counts = [
    ["won", won],
    // A bid that was ranked and did not win; its award may come with the next message.
    ["lost", Math.max(0, total((m) => m.outcomes.placed) - won)],
    ...REFUSALS.map((name) => [name, total((m) => m.outcomes[name])]),
  ];
  const all = counts.reduce((sum, [, each]) => sum + each, 0);
  const bar = counts.map(([name, each]) => {
    const part = h("span", { class: name });
    part.style.flexGrow = all ? each / all : 0;
    return part;
  });
  const rows = counts.map(([name, each]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: `dot ${name}` }), words(name)),
      h("td", { class: "number" }, count(each)),
      h("td", { class: "number muted" }, percent(each, all)),
    ),
  );
  byId("outcomes").replaceChildren(
    h("div", { class: "stack", "aria-hidden": "true" }, ...bar),
    h("table", { class: "rows" }, h("tbody", {}, ...rows)),
  );
}

// -- projections ---------------------------------------------------------------------------------

function drawProjections(lag) {
  const names = Object.keys(lag);
  if (!names.length) {
    byId("projections").replaceChildren(h("p", { class: "empty" }, "No projection has reported yet."));
    return;
  }
  const rows = names.map((name) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, words(name)),
      h("td", {}, sparkline(series((m) => m.lag[name]), slots())),
      h("td", { class: "number muted" }, lagBadge(lag[name])),
    ),
  );
  byId("projections").replaceChildren(h("table", { class: "rows" }, h("tbody", {}, ...rows)));
}

function lagBadge(behind) {
  if (behind === null) return h("span", { class: "badge warn" }, "unknown");
  const kind = behind < 1_000 ? "good" : behind < 20_000 ? "warn" : "bad";
  return h("span", { class: `badge ${kind}` }, behind === 0 ? "up to date" : count(behind));
}
