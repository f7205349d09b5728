// One feed client as rows of the table: what it has, what its last load has come to, and on demand all its records.

import { h } from "/dashboard/element.js";
import { recordsOf, spanOf } from "/dashboard/feed_records.js";
import { NOTHING, count, counted, moment } from "/dashboard/format.js";
import { badge, behind, cell, disclosure, row, sentence, sentenceRow } from "/dashboard/rows.js";

export const COLUMNS = ["Client", "Status", "Found", "Records", "Last load", "Applied", "Refused", "When"];
const LOAD_COLUMNS = 4;
const STATUS_KINDS = { active: "good", paused: "warn", archived: "" };
const LOAD_KINDS = { receiving: "busy", loading: "busy", published: "good", failed: "bad", superseded: "warn" };
const TOPICS = [
  ["bulk", "Loads"],
  ["changes", "Changes"],
];
const TOPIC_KINDS = { rebuilding: "busy", paused: "warn", stopped: "bad" };

/** The rows, as one `tbody`; `opened` is what is known of all its records, undefined where nobody has asked. */
export function bodyOf(feed, opened) {
  const reason = feed.last_load?.reason;
  return h(
    "tbody",
    { "data-key": feed.id },
    mainRow(feed, opened !== undefined),
    reason && sentenceRow("why", "bad", `The last load failed: ${reason}`, COLUMNS.length),
    opened && row("details", {}, h("td", { colspan: COLUMNS.length, id: detailsId(feed) }, ...detailsOf(feed, opened))),
  );
}

/** How far each of the two topics is applied. */
export function behindOf(topics) {
  return TOPICS.map(([name, title]) => {
    const { status, ...lag } = topics[name];
    const kind = TOPIC_KINDS[status];
    return h("span", { "data-key": name, "data-topic": name }, `${title} `, behind(lag), kind && " ", kind && badge(status, kind));
  });
}

function mainRow(feed, isOpen) {
  const { name, status, records, complete, last_load: load, loaded_at: at } = feed;
  return row(
    "main",
    {},
    h("th", { scope: "row" }, disclosure(name, isOpen, detailsId(feed))),
    cell("Status", badge(status, STATUS_KINDS[status])),
    cell("Found", complete ? badge("complete", "good") : badge("being filled again", "warn")),
    cell("Records", count(records)),
    ...(load ? loadCells(load, at) : [h("td", { "data-title": "Last load", colspan: LOAD_COLUMNS }, NOTHING)]),
  );
}

function loadCells(load, at) {
  return [
    cell("Last load", `${load.mode} `, badge(load.status, LOAD_KINDS[load.status])),
    cell("Applied", count(load.applied)),
    cell("Refused", ...refused(load)),
    cell("When", at ? moment(at) : NOTHING),
  ];
}

/** Lines that were no records, and records that nobody could apply. */
function refused({ rejected, parked }) {
  return [
    rejected ? badge(count(rejected), "warn") : "0",
    parked > 0 && " ",
    parked > 0 && badge(counted(parked, "dead letter"), "bad"),
  ];
}

function detailsOf({ name }, { audit, fault }) {
  if (fault) return [sentence("bad", fault)];
  if (!audit) return [sentence("", "Is being added up…")];
  const region = { class: "scroll-details", tabindex: 0, role: "region", "aria-label": `Records of ${name}` };
  return [h("p", { class: "hint" }, spanOf(audit)), h("div", region, h("table", {}, ...recordsOf("Records", audit)))];
}

function detailsId({ id }) {
  return `feed-${id}`;
}
