// What a tenant sees in place of the operator's live figures; a publisher or advertiser what was delivered, day by day.

import { SignedOut, getJson } from "/dashboard/access.js";
import { byId, h } from "/dashboard/element.js";
import { showRecords } from "/dashboard/feed_records.js";
import { NOTHING, count, percent } from "/dashboard/format.js";

const DAYS = 7;
const DAY_MS = 86_400_000;
const REFRESH_MS = 30_000;
const ROLES = { publisher: "a publisher", advertiser: "an advertiser", feed_client: "a feed client" };

const COLUMNS = [
  { title: "Day (UTC)", of: (row) => row.day },
  { title: "Auctions", of: (row) => count(row.requests), for: "publisher", wide: true },
  { title: "Bids", of: (row) => count(row.bids), for: "advertiser", wide: true },
  { title: "Sold", of: (row) => count(row.wins), for: "publisher" },
  { title: "Won", of: (row) => count(row.wins), for: "advertiser" },
  { title: "Impressions", of: (row) => count(row.impressions) },
  { title: "Clicks", of: (row) => count(row.clicks) },
  { title: "CTR", of: (row) => (row.ctr === null ? NOTHING : percent(row.ctr, 1)), wide: true },
  { title: "Earned", of: (row) => `${row.revenue} ${row.currency}`, for: "publisher" },
  { title: "Spent", of: (row) => `${row.spend} ${row.currency}`, for: "advertiser" },
];

/** Whether the key reaches the operator's board. */
export function isOperator(caller) {
  return caller.role === "admin";
}

/** Says whose key it is, and keeps its figures current until `signal` is aborted. Throws SignedOut. */
export async function followOwnFigures(caller, signal) {
  byId("tenant-title").textContent = caller.name;
  byId("tenant-note").textContent = `This key is ${ROLES[caller.role]}'s: it shows what is its own, and not the live figures of the exchange.`;
  const show = caller.role === "feed_client" ? showRecords : showDays;
  while (!signal.aborted) {
    await refreshed(() => show(caller, signal), signal);
    await pause(signal);
  }
}

async function refreshed(show, signal) {
  try {
    await show();
    byId("tenant-fault").textContent = "";
  } catch (error) {
    if (error instanceof SignedOut || signal.aborted) throw error;
    byId("tenant-fault").textContent = `Not refreshed: ${error.message}`;
  }
}

async function showDays(caller, signal) {
  const from = new Date(Date.now() - (DAYS - 1) * DAY_MS).toISOString().slice(0, 10);
  const report = await getJson(`/v1/reports/delivery?by=day&from=${from}T00:00:00Z`, signal);
  byId("tenant-span").textContent = `the last ${DAYS} days`;
  draw(caller, report.rows);
}

function draw(caller, rows) {
  const columns = COLUMNS.filter((column) => !column.for || column.for === caller.role);
  const kind = (column) => `${column === columns[0] ? "" : "number"} ${column.wide ? "wide" : ""}`;
  const nothing = h("tr", {}, h("td", { colspan: columns.length, class: "empty" }, `Nothing was delivered in the last ${DAYS} days.`));
  byId("tenant-figures").replaceChildren(
    h("thead", {}, h("tr", {}, ...columns.map((each) => h("th", { scope: "col", class: kind(each) }, each.title)))),
    h(
      "tbody",
      {},
      ...(rows.length ? rows.map((row) => h("tr", {}, ...columns.map((each) => h("td", { class: kind(each) }, each.of(row))))) : [nothing]),
    ),
  );
}

function pause(signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, REFRESH_MS);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
