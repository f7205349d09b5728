// The feed clients as their operator sees them, a page at a time and asked for rarely; where there are none, nothing.

import { SignedOut, getJson } from "/dashboard/access.js";
import { become, byId, h } from "/dashboard/element.js";
import { COLUMNS, behindOf, bodyOf } from "/dashboard/feed_rows.js";
import { wakeable } from "/dashboard/wakeable.js";

const REFRESH_MS = 10_000;
const PAGE = 100;

const refresh = wakeable();
/** By the client's id what is known of all its records: {audit} or {fault}, neither while it is asked for. */
const opened = new Map();
let shown = null;
let cursor = null;

/** Keeps the table current until `signal` is aborted. Throws SignedOut. */
export async function keepFeeds(signal) {
  byId("feeds-table").addEventListener("click", act, { signal });
  byId("feeds-first").addEventListener("click", () => turnTo(null), { signal });
  byId("feeds-next").addEventListener("click", () => turnTo(shown.next_cursor), { signal });
  while (!signal.aborted) {
    if (!document.hidden) await look(signal);
    await refresh.wait(REFRESH_MS, signal);
  }
}

/** Forgets what was shown. */
export function forgetFeeds() {
  shown = cursor = null;
  opened.clear();
  byId("feeds").hidden = true;
  for (const part of ["feeds-table", "feeds-topics", "feeds-fault"]) byId(part).replaceChildren();
}

async function look(signal) {
  try {
    shown = await wantedPage(signal);
    draw();
    byId("feeds-fault").textContent = "";
  } catch (error) {
    if (error instanceof SignedOut || signal.aborted) throw error;
    byId("feeds-fault").textContent = `Not refreshed: ${error.message}`;
  }
}

/** Another one may be wanted by the time that one has come. */
async function wantedPage(signal) {
  for (;;) {
    const asked = cursor;
    const query = new URLSearchParams({ limit: PAGE, ...(asked && { cursor: asked }) });
    const page = await getJson(`/v1/feeds?${query}`, signal);
    if (asked === cursor) return page;
  }
}

function draw() {
  const isFirst = cursor === null;
  byId("feeds").hidden = isFirst && shown.items.length === 0;
  become(byId("feeds-topics"), behindOf(shown.topics));
  become(byId("feeds-table"), [
    h("thead", {}, h("tr", {}, ...COLUMNS.map((title) => h("th", { scope: "col" }, title)))),
    ...shown.items.map((each) => bodyOf(each, opened.get(each.id))),
  ]);
  byId("feeds-pages").hidden = isFirst && !shown.next_cursor;
  byId("feeds-first").disabled = isFirst;
  byId("feeds-next").disabled = !shown.next_cursor;
}

function turnTo(page) {
  cursor = page;
  refresh.now();
}

function act(event) {
  const button = event.target.closest("button");
  if (button) open(shown.items.find(({ id }) => id === button.closest("tbody").dataset.key));
}

/** Shows all its records, or takes them away again. Added up when asked for alone: that takes the longer the more there are. */
async function open({ id, name }) {
  if (opened.delete(id)) return draw();
  const asked = {};
  opened.set(id, asked);
  draw();
  try {
    asked.audit = await getJson(`/v1/feeds/${encodeURIComponent(name)}/audit?limit=1`);
  } catch (error) {
    asked.fault = error.message || "You are signed out.";
  }
  if (opened.get(id) === asked) draw();
}
