// One auction, told from the log: who was asked, what each answered and when, who won, what was paid, what came of it.

import { getJson } from "/dashboard/access.js";
import { byId, h } from "/dashboard/element.js";
import { NOTHING, milliseconds, moment, timeOfDay, words } from "/dashboard/format.js";

// Of the track: the figure stands to the right of the bar.
const LONGEST_PERCENT = 84;
const VERDICT_KINDS = { valid: "good", test: "warn", duplicate: "warn", expired: "warn", bot: "bad", rate_limited: "bad" };

/** Opens the story of an auction; its address can be copied. */
export async function openStory(id) {
  const dialog = byId("story");
  byId("story-body").replaceChildren(h("p", { class: "empty" }, "Reading…"));
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", `#auction=${encodeURIComponent(id)}`);
  try {
    const story = await getJson(`/v1/auctions/${encodeURIComponent(id)}`);
    byId("story-body").replaceChildren(...parts(story));
  } catch (error) {
    byId("story-body").replaceChildren(h("p", { class: "empty", role: "alert" }, error.message || "You are signed out."));
  }
}

/** Wires the dialog's ways out: the button, Escape, and a click beside it. */
export function prepareStory() {
  const dialog = byId("story");
  byId("story-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
}

/** The auction that the address names, or null. */
export function storyInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("auction");
}

function parts(story) {
  return [
    facts(story),
    ...story.imps.map((imp) => impression(imp, story.request)),
    engagements(story.engagements),
    h("details", {}, h("summary", {}, "The bid request, as logged"), h("pre", { tabindex: 0 }, JSON.stringify(story.request, null, 2))),
  ];
}

function facts(story) {
  const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
  const where = story.request.site?.domain ?? story.request.app?.bundle ?? story.request.dooh?.name ?? NOTHING;
  return h(
    "dl",
    { class: "facts" },
    fact("Result", badge(story.status, story.status === "awarded" ? "good" : ""), story.test ? badge("test", "warn") : null),
    fact("Asked at", moment(story.at)),
    fact("For", where),
    fact("Rules", story.request.at === 1 ? "first price" : "second price"),
    fact("Auction", h("code", {}, story.id)),
  );
}

function impression(imp, request) {
  const asked = request.imp?.find((each) => each.id === imp.id) ?? {};
  const slowest = Math.max(1, ...imp.outcomes.map((outcome) => outcome.latency_ms ?? 0));
  return h(
    "section",
    { class: "imp" },
    h(
      "div",
      { class: "imp-head" },
      h("h3", {}, `Imp ${imp.id}`),
      badge(`floor ${imp.floor}`),
      ...forms(asked).map((form) => badge(form)),
    ),
    decision(imp),
    imp.outcomes.length
      ? h("ol", { class: "bidders" }, ...imp.outcomes.map((outcome) => bidder(outcome, slowest)))
      : h("p", { class: "empty" }, "No bidder was there to be asked."),
  );
}

function forms(imp) {
  const sizes = imp.banner?.format?.map((size) => `${size.w} × ${size.h}`) ?? (imp.banner?.w ? [`${imp.banner.w} × ${imp.banner.h}`] : []);
  return [...["banner", "video", "audio", "native"].filter((kind) => imp[kind]), ...sizes];
}

function decision(imp) {
  const award = imp.award;
  if (!award) return h("p", { class: "verdict unsold" }, "Not sold: no bid was left that could win.");
  const winner = imp.outcomes.find((outcome) => outcome.bidder_id === award.bidder_id);
  return h(
    "p",
    { class: "verdict" },
    h("strong", {}, winner?.bidder ?? award.bidder_id),
    ` won with a bid of ${award.price} and pays `,
    h("strong", {}, `${award.clearing_price} ${award.currency}`),
    award.deal_id ? ` under deal ${award.deal_id}.` : ".",
  );
}

function bidder(outcome, slowest) {
  const span = h("span", { class: "span" });
  span.style.width = `${(LONGEST_PERCENT * (outcome.latency_ms ?? 0)) / slowest}%`;
  return h(
    "li",
    { class: outcome.status },
    h("span", { class: `rank ${outcome.rank === 1 ? "first" : ""}`, title: "rank" }, outcome.rank ? String(outcome.rank) : NOTHING),
    h("span", { class: "name" }, outcome.bidder),
    h("span", { class: "status" }, h("span", { class: "dot" }), words(outcome.status)),
    h(
      "span",
      { class: "track" },
      outcome.latency_ms === undefined ? null : span,
      h("span", { class: "when" }, outcome.latency_ms === undefined ? "not asked" : `${milliseconds(outcome.latency_ms)} ms`),
    ),
    h("span", { class: "price" }, outcome.price ? `${outcome.price} ${outcome.currency ?? ""}` : NOTHING),
    h("span", { class: "reason" }, outcome.reason, ...(outcome.other_bids ?? []).map(otherBid)),
  );
}

function otherBid(bid) {
  return h("span", {}, ` · also bid ${bid.price ?? NOTHING} (${bid.bid_id}): ${bid.reason}`);
}

function engagements(list) {
  const items = list.map((each) =>
    h(
      "li",
      {},
      h("span", {}, timeOfDay(each.at)),
      h("strong", {}, each.kind),
      badge(words(each.verdict), VERDICT_KINDS[each.verdict]),
      h("span", { class: "hint" }, `imp ${each.imp_id}`, each.reason ? ` · ${each.reason}` : ""),
    ),
  );
  return h(
    "section",
    {},
    h("div", { class: "section-head" }, h("h3", {}, "Engagements")),
    items.length ? h("ul", { class: "engagements" }, ...items) : h("p", { class: "hint" }, "Nobody has seen or clicked the ad (yet)."),
  );
}

function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}` }, text);
}
