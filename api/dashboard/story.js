// One auction, told from the log: who was asked, what each answered and when, who won, what was paid, what came of it.

import { getJson } from "/dashboard/access.js";
import { byId, h } from "/dashboard/element.js";
import { NOTHING, milliseconds, moment, timeOfDay, words } from "/dashboard/format.js";

// Of the track: the figure stands to the right of the bar.
const LONGEST_PERCENT = 84;
const VERDICT_KINDS = { valid: "good", test: "warn", duplicate: "warn", expired: "warn", bot: "bad", rate_limited: "bad", voided: "bad" };

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
    ...story.imps.map((imp) => impression(imp, story)),
    afterwards(story),
    details("The same in sentences", ...story.told.map(paragraph)),
    details("The bid request, as logged", h("pre", { tabindex: 0 }, JSON.stringify(story.request, null, 2))),
  ];
}

function details(summary, ...content) {
  return h("details", {}, h("summary", {}, summary), ...content);
}

function paragraph({ title, sentences }) {
  return h("section", { class: "told" }, h("h4", {}, title), ...sentences.map((sentence) => h("p", {}, sentence)));
}

function facts(story) {
  const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
  const where = story.request.site?.domain ?? story.request.app?.bundle ?? story.request.dooh?.name ?? NOTHING;
  return h(
    "dl",
    { class: "facts" },
    fact(
      "Result",
      badge(story.status, story.status === "awarded" ? "good" : ""),
      story.test ? badge("test", "warn") : null,
      story.robot ? badge("robot", "warn") : null,
    ),
    fact("Asked at", moment(story.at)),
    fact("For", where),
    fact("Rules", `${rule(story.auction_type)} in ${story.currency}, ${story.tmax_ms} ms`),
    story.restricted_by.length ? fact("Privacy", ...story.restricted_by.map((why) => badge(words(why), "warn"))) : null,
    fact("Auction", h("code", {}, story.id)),
  );
}

function rule(auctionType) {
  return { 1: "first price", 3: "agreed price" }[auctionType] ?? "second price";
}

function impression(imp, story) {
  const asked = story.request.imp?.find((each) => each.id === imp.id) ?? {};
  const slowest = Math.max(1, ...imp.outcomes.map((outcome) => outcome.latency_ms ?? 0));
  return h(
    "section",
    { class: "imp" },
    h(
      "div",
      { class: "imp-head" },
      h("h3", {}, `Imp ${imp.id}`),
      badge(floorOf(imp, story.currency)),
      ...forms(asked).map((form) => badge(form)),
      ...(imp.deals ?? []).map((deal) => badge(dealOffered(deal, story.currency))),
      imp.private ? badge("deals only", "warn") : null,
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

function dealOffered(deal, currency) {
  return [`deal ${deal.id}`, floorOf(deal, currency), ...(deal.at ? [rule(deal.at)] : []), ...(deal.registered ? ["registered"] : [])].join(" · ");
}

/** Of an imp or deal; null where no rate leads into the auction's currency. */
function floorOf(offered, currency) {
  const stated = offered.stated_floor;
  if (offered.floor === null) return `floor ${stated.price} ${stated.currency}, without a rate into ${currency}`;
  return `floor ${offered.floor} ${currency}${asStated(stated)}`;
}

/** The sum behind a converted or adjusted figure. */
function asStated(stated) {
  if (!stated) return "";
  const rate = stated.rate === "1" ? "" : ` × ${stated.rate}`;
  const adjustment = stated.adjustment_bps ? ` × ${stated.adjustment_bps / 100} %` : "";
  return ` = ${stated.price} ${stated.currency}${rate}${adjustment}`;
}

function decision(imp) {
  const award = imp.award;
  if (!award) return h("p", { class: "verdict unsold" }, `Not sold: ${imp.unsold_reason ?? "no decision was logged."}`);
  const winner = imp.outcomes.find((outcome) => outcome.bidder_id === award.bidder_id);
  const reach = award.min_to_win ? ` It would have won from ${award.min_to_win} on.` : "";
  return h(
    "p",
    { class: "verdict" },
    h("strong", {}, winner?.bidder ?? award.bidder_id),
    award.price ? ` won with a bid of ${award.price} and pays ` : " won and pays ",
    h("strong", {}, `${award.clearing_price} ${award.currency}`),
    ` (${rule(award.auction_type)}${award.deal_id ? `, deal ${award.deal_id}` : ""}).`,
    h("span", { class: "sum" }, `Publisher ${award.revenue} + exchange ${award.fee} = ${award.clearing_price}.${reach}`),
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
    h("span", { class: "reason" }, outcome.reason, ...bidFacts(outcome), ...(outcome.other_bids ?? []).map(otherBid)),
  );
}

function bidFacts(outcome) {
  const facts = [
    outcome.stated && asStated(outcome.stated).slice(" = ".length),
    outcome.deal_id && `deal ${outcome.deal_id}`,
    outcome.floor && `floor ${outcome.floor}`,
    outcome.group !== undefined && `group ${outcome.group}`,
  ];
  return facts.filter(Boolean).map((fact) => badge(fact));
}

function otherBid(bid) {
  return h("span", {}, ` · also bid ${bid.price ?? NOTHING} (${bid.bid_id}): ${bid.reason}`);
}

function afterwards(story) {
  const items = [...story.late_answers.map(lateAnswer), ...story.notices.map(notice), ...story.engagements.map(engagement)];
  return h(
    "section",
    {},
    h("div", { class: "section-head" }, h("h3", {}, "Afterwards")),
    items.length ? h("ul", { class: "engagements" }, ...items) : h("p", { class: "hint" }, "Nobody has seen or clicked the ad (yet)."),
  );
}

function engagement(each) {
  const why = `imp ${each.imp_id}${each.reason ? ` · ${each.reason}` : ""}`;
  return event(timeOfDay(each.at), each.kind, badge(words(each.verdict), VERDICT_KINDS[each.verdict]), why);
}

function notice(each) {
  const result = each.delivered ? badge(`delivered · ${each.http_status}`, "good") : badge("given up", "bad");
  const attempts = each.attempts === 1 ? "1 attempt" : `${each.attempts} attempts`;
  const about = `to ${each.bidder} for imp ${each.imp_id} · ${attempts}${each.reason ? ` · ${each.reason}` : ""}`;
  return event(timeOfDay(each.at), `${each.kind} notice`, result, about);
}

function lateAnswer(each) {
  const bids = (each.bids ?? []).map((bid) => `${bid.price} ${bid.currency} for imp ${bid.imp_id}`);
  const about = [bids.join(", ") || "no bid", each.reason].filter(Boolean).join(" · ");
  return event(`${milliseconds(each.latency_ms)} ms`, "late answer", badge("changed nothing", "warn"), `${each.bidder} · ${about}`);
}

function event(when, what, result, about) {
  return h("li", {}, h("span", {}, when), h("strong", {}, what), result, h("span", { class: "hint" }, about));
}

function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}` }, text);
}
