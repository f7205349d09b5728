// The list of the last auctions: refreshed while it can be seen, and held still when paused.

import { SignedOut, getJson } from "/dashboard/access.js";
import { byId, h } from "/dashboard/element.js";
import { NOTHING, timeOfDay } from "/dashboard/format.js";
import { wakeable } from "/dashboard/wakeable.js";

const REFRESH_MS = 2_000;
const ROWS = 25;

const known = new Set();
let paused = false;

/** Refreshes the list until `signal` is aborted; `open(id)` shows one auction. Throws SignedOut. */
export async function keepListed(open, signal) {
  const refresh = wakeable();
  byId("auctions-pause").addEventListener("click", () => (togglePause(), refresh.now()), { signal });
  byId("auctions-status").addEventListener("change", () => (known.clear(), refresh.now()), { signal });
  while (!signal.aborted) {
    if (!paused && !document.hidden) await show(open, signal);
    await refresh.wait(REFRESH_MS, signal);
  }
}

function togglePause() {
  paused = !paused;
  const button = byId("auctions-pause");
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Resume" : "Pause";
  byId("auctions-note").textContent = paused ? "held still" : "";
}

async function show(open, signal) {
  const query = new URLSearchParams({ limit: ROWS });
  if (byId("auctions-status").value) query.set("status", byId("auctions-status").value);
  try {
    const page = await getJson(`/v1/auctions?${query}`, signal);
    if (paused) return;
    draw(page.items, open);
    byId("auctions-note").textContent = "";
  } catch (error) {
    if (error instanceof SignedOut || signal.aborted) throw error;
    byId("auctions-note").textContent = `not refreshed: ${error.message}`;
  }
}

function draw(auctions, open) {
  const first = known.size === 0;
  const body = byId("auctions");
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.id : null;
  const rows = auctions.map((auction) => row(auction, open, !first && !known.has(auction.id)));
  auctions.forEach((auction) => known.add(auction.id));
  body.replaceChildren(
    ...(rows.length ? rows : [h("tr", {}, h("td", { colspan: 8, class: "empty" }, "No auction has been held yet."))]),
  );
  if (focused) body.querySelector(`tr[data-id="${CSS.escape(focused)}"] button`)?.focus();
}

function row(auction, open, fresh) {
  const awards = auction.awards;
  const winners = [...new Set(awards.map((award) => award.bidder))];
  return h(
    "tr",
    { "data-id": auction.id, class: fresh && "fresh", click: () => open(auction.id) },
    h("td", {}, h("button", { type: "button", "aria-label": `Auction at ${timeOfDay(auction.at)}` }, timeOfDay(auction.at))),
    h("td", { class: "grow" }, auction.site || NOTHING),
    h("td", { class: "wide" }, auction.country || NOTHING),
    h("td", { class: "number wide" }, String(auction.imps)),
    h("td", { class: "number wide" }, String(auction.bids)),
    h(
      "td",
      {},
      h("span", { class: `badge ${auction.status === "awarded" ? "good" : ""}` }, auction.status),
      auction.test && h("span", { class: "badge warn" }, "test"),
    ),
    h("td", { class: "grow wide" }, winners.join(", ") || NOTHING),
    h("td", { class: "number" }, awards.map((award) => `${award.clearing_price} ${award.currency}`).join(" + ") || NOTHING),
  );
}
