// What became of a feed client's records, by topic: a client sees it in place of the operator's live figures.

import { getJson } from "/dashboard/access.js";
import { byId, h } from "/dashboard/element.js";
import { digits } from "/dashboard/format.js";

const TOPICS = [
  { title: "Loads", of: (audit) => audit.topics.bulk },
  { title: "Changes", of: (audit) => audit.topics.changes },
  { title: "Both", of: (audit) => audit.totals },
];
const FIGURES = [
  ["Records read", "records"],
  ["Added", "adds"],
  ["Overwritten", "overwrites"],
  ["Updated", "updates"],
  ["Deleted", "deletes"],
  ["Stale, for something later stands", "stale"],
  ["Unreadable in the log", "rejected"],
  ["Lines refused at the door", "refused"],
];

/** Throws as `getJson`. */
export async function showRecords(caller, signal) {
  const client = await getJson(`/v1/feed-clients/${caller.subject_id}`, signal);
  const audit = await getJson(`/v1/feeds/${encodeURIComponent(client.name)}/audit?limit=1`, signal);
  byId("tenant-span").textContent = spanOf(audit);
  byId("tenant-figures").replaceChildren(...recordsOf(client.name, audit));
}

/** The parts of a table. */
export function recordsOf(head, audit) {
  return [
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, head), ...TOPICS.map((each) => h("th", { scope: "col", class: "number" }, each.title)))),
    h("tbody", {}, ...FIGURES.map(([title, name]) => h("tr", {}, h("td", {}, title), ...TOPICS.map((each) => h("td", { class: "number" }, digits(each.of(audit)[name])))))),
  ];
}

/** What it covers. */
export function spanOf({ pending }) {
  return pending ? `of all time; batches still to be counted: ${digits(pending)}` : "of all time";
}
