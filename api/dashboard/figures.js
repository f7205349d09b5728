// The live part of the board: tiles, latency, outcomes, projections. One message a second redraws all of it.

import { lineChart, sparkline } from "/dashboard/charts.js";
import { byId, h } from "/dashboard/element.js";
import { NOTHING, count, milliseconds, money, percent, rate, words } from "/dashboard/format.js";

const SECONDS_SHOWN = 120;
const SMOOTHED_OVER = 5;
const OUTCOMES = ["won", "lost", "refused", "no_bid", "timeout", "error", "skipped"];
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

function recent(read) {
  const last = series(read).slice(-SMOOTHED_OVER).filter((each) => each !== null);
  return last.length ? last.reduce((sum, each) => sum + each, 0) / last.length : 0;
}

function total(read) {
  return series(read).reduce((sum, each) => sum + (each ?? 0), 0);
}

// -- tiles ---------------------------------------------------------------------------------------

function drawTiles() {
  const tiles = [
    tile("Auctions", rate(recent((m) => m.auctions)), "/s", `${count(total((m) => m.auctions))} in view`, (m) => m.auctions),
    tile("Bids", rate(recent((m) => m.bids)), "/s", perAuction(), (m) => m.bids),
    tile("Wins", rate(recent((m) => m.wins)), "/s", `${percent(total((m) => m.wins), total((m) => m.imps))} of imps sold`, (m) => m.wins),
    tile("Impressions", rate(recent((m) => m.impressions)), "/s", `${percent(total((m) => m.impressions), total((m) => m.wins))} of wins seen`, (m) => m.impressions),
    tile("Clicks", rate(recent((m) => m.clicks)), "/s", `${percent(total((m) => m.clicks), total((m) => m.impressions))} click-through`, (m) => m.clicks),
    ...moneyTiles(),
  ];
  byId("tiles").replaceChildren(...tiles);
}

function perAuction() {
  const auctions = total((m) => m.auctions);
  return auctions ? `${(total((m) => m.bids) / auctions).toFixed(2)} per auction` : NOTHING;
}

function moneyTiles() {
  const currencies = [...new Set(history.flatMap((m) => Object.keys(m.spend ?? {})))].sort();
  const shown = currencies.length ? currencies : ["USD"];
  return shown.map((currency) => {
    const read = (m) => Number(m.spend?.[currency] ?? 0);
    return tile("Spend", money(recent(read) * 60), `${currency}/min`, `${money(total(read))} in view`, read);
  });
}

function tile(title, figure, unit, aside, read) {
  return h(
    "article",
    { class: "tile", "data-tile": title.toLowerCase() },
    h("h3", {}, title),
    h("p", { class: "figure" }, figure, h("small", {}, unit)),
    h("p", { class: "aside" }, aside),
    sparkline(series(read), SECONDS_SHOWN),
  );
}

// -- latency -------------------------------------------------------------------------------------

function drawLatency() {
  const newest = history.findLast((m) => m.latency_ms?.p50 !== null && m.latency_ms !== undefined)?.latency_ms ?? {};
  const lines = PERCENTILES.map((name) => ({ name, samples: series((m) => m.latency_ms?.[name]) }));
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
      lineChart(lines, SECONDS_SHOWN, top, "Percentiles of the last two minutes"),
      h("span", { class: "top" }, `${top} ms`),
    ),
  );
}

// -- outcomes ------------------------------------------------------------------------------------

function drawOutcomes() {
  const counts = OUTCOMES.map((name) => [name, total((m) => m.outcomes?.[name])]);
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

function drawProjections(lag = {}) {
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
      h("td", {}, sparkline(series((m) => m.lag?.[name]), SECONDS_SHOWN)),
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
