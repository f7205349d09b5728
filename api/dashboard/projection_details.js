// All else that is known of a projection: who works on it, how far each partition is, and what was decided by whom.

import { h } from "/dashboard/element.js";
import { NOTHING, bytes, counted, digits, duration, moment, rate } from "/dashboard/format.js";

/** The parts, for a cell over the whole width. */
export function detailsOf(projection) {
  return [
    listed(
      "Partitions",
      ["Topic", "Partition", "Position", "Log's end", "Behind", "Worker"],
      projection.partitions.map((each) => [
        each.topic,
        each.partition,
        known(each.next_offset, digits),
        known(each.high_watermark, digits),
        behind(each),
        each.owner ?? "nobody",
      ]),
      "Nothing was read yet.",
    ),
    listed(
      "Workers",
      ["Worker", "Generation", "Partitions", "Applied", "Restarts"],
      projection.workers.map((each) => [
        each.worker,
        each.generation,
        each.partitions,
        `${rate(each.events_per_second)}/s`,
        each.restarted_because ? `${each.restarts}: ${each.restarted_because}` : each.restarts,
      ]),
      "Nobody works on it.",
    ),
    ...generations(projection),
    listed(
      "Decided by people",
      ["When", "What", "Generation", "By", "With"],
      projection.decisions.map((each) => [
        moment(each.at),
        each.command,
        each.generation ?? NOTHING,
        each.by,
        options(each.options),
      ]),
      "Nothing yet.",
    ),
  ];
}

function generations({ generations: built }) {
  if (!built.length) return [];
  return [
    listed(
      "Generations",
      ["Generation", "Status", "Begun", "Built", "Read since", "Disk"],
      built.map((each) => [
        each.generation,
        each.status,
        moment(each.begun_at),
        known(each.built_at, moment),
        each.status === "active" ? known(each.activated_at, moment) : NOTHING,
        known(each.disk_bytes, bytes),
      ]),
    ),
  ];
}

function behind({ lag, lag_seconds: seconds }) {
  if (lag === null || lag === undefined) return NOTHING;
  return lag && seconds ? `${counted(lag, "event")}, ${duration(seconds)}` : digits(lag);
}

function options(chosen = {}) {
  const words = Object.entries(chosen).map(([name, value]) => `${name.replaceAll("_", " ")}: ${value === true ? "yes" : value === false ? "no" : value}`);
  return words.join(", ") || NOTHING;
}

function known(value, shown) {
  return value === null || value === undefined ? NOTHING : shown(value);
}

function listed(title, columns, rows, otherwise = "") {
  const head = h("thead", {}, h("tr", {}, ...columns.map((each) => h("th", { scope: "col" }, each))));
  const body = h("tbody", {}, ...rows.map((cells) => h("tr", {}, ...cells.map((each) => h("td", {}, String(each))))));
  const table = h("div", { class: "scroll-details", tabindex: 0, role: "region", "aria-label": title }, h("table", {}, head, body));
  return h("section", {}, h("h3", {}, title), rows.length ? table : h("p", { class: "hint" }, otherwise));
}
