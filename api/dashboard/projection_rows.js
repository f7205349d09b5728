// One projection as rows of the table: how it is, what stands in its way, its other generations, and on demand all else.

import { h } from "/dashboard/element.js";
import { NOTHING, count, counted, duration, percent, rate, timeOfDay, words } from "/dashboard/format.js";
import { detailsOf } from "/dashboard/projection_details.js";
import { badge, behind, cell, disclosure, row, sentence, sentenceRow } from "/dashboard/rows.js";

const COLUMNS = 8;
const STATUS_KINDS = { running: "good", rebuilding: "busy", paused: "warn", stopped: "bad" };
const GENERATION_KINDS = { building: "busy", ready: "busy", previous: "" };

/** The rows, as one `tbody`; the commands that are possible come from `ofProjection` and `ofGeneration`. */
export function bodyOf(projection, { isOpen, ofProjection, ofGeneration }) {
  const others = projection.generations.filter(({ status }) => status !== "active");
  return h(
    "tbody",
    { "data-key": projection.name },
    mainRow(projection, isOpen, ofProjection(projection)),
    projection.reason && sentenceRow("why", "bad", `Stopped: ${projection.reason}`, COLUMNS),
    isRebuiltInPlace(projection) && inPlaceRow(projection),
    ...others.map((each) => generationRow(projection, each, ofGeneration(each))),
    isOpen && row("details", {}, h("td", { colspan: COLUMNS, id: detailsId(projection) }, ...detailsOf(projection))),
  );
}

function mainRow(projection, isOpen, commands) {
  const { name, status, generation } = projection;
  return row(
    "main",
    {},
    h("th", { scope: "row" }, disclosure(words(name), isOpen, detailsId(projection))),
    cell("Status", badge(status, STATUS_KINDS[status])),
    cell("Generation", generation === null ? NOTHING : count(generation)),
    cell("Behind", behind(projection)),
    cell("Applied", `${rate(projection.events_per_second)}/s`),
    cell("Workers", ...workers(projection)),
    cell("Dead letters", letters(projection)),
    h("td", { class: "actions" }, ...commands.map((each) => button(each, name))),
  );
}

function workers({ partitions, status, restarts }) {
  const owners = new Set(partitions.map(({ owner }) => owner).filter(Boolean));
  const restarted = restarts ? badge(counted(restarts, "restart"), "warn") : null;
  if (owners.size === 0 && status !== "paused") return [badge("nobody", "warn"), restarted];
  return [owners.size ? `${owners.size} ` : NOTHING, restarted];
}

function letters({ name, dead_letters: open }) {
  const label = `Dead letters of ${name}: ${open}`;
  return h("button", { type: "button", class: open ? "letters some" : "letters", "data-act": "letters", "aria-label": label }, count(open));
}

function isRebuiltInPlace({ status, generations }) {
  return status === "rebuilding" && generations.length === 0;
}

function inPlaceRow({ name, generation, partitions }) {
  const done = partitions.reduce((sum, each) => sum + (each.next_offset ?? 0), 0);
  const total = partitions.reduce((sum, each) => sum + (each.high_watermark ?? each.next_offset ?? 0), 0);
  return row(
    "in-place",
    { class: "other" },
    h(
      "td",
      { colspan: COLUMNS },
      h(
        "div",
        { class: "generation" },
        h("strong", {}, "In place"),
        bar(name, generation, done, total),
        h("span", { class: "told" }, `${percent(done, total)} of the log`),
      ),
    ),
  );
}

function generationRow({ name }, generation, commands) {
  const number = generation.generation;
  return row(
    `generation ${number}`,
    { class: "other", "data-generation": number },
    h(
      "td",
      { colspan: COLUMNS },
      h(
        "div",
        { class: "generation" },
        h("strong", {}, `Generation ${number}`),
        badge(words(generation.status), GENERATION_KINDS[generation.status]),
        generation.status === "building" ? bar(name, number, generation.done, generation.total) : null,
        h("span", { class: "told" }, ...told(generation)),
        h("span", { class: "actions" }, ...commands.map((each) => button(each, `generation ${number} of ${name}`, number))),
      ),
      ...sentences(generation),
    ),
  );
}

function bar(name, generation, done, total) {
  const label = `Generation ${generation} of ${name}`;
  return h("progress", { max: Math.max(total, 1), value: total ? done : 0, "aria-label": label }, percent(done, total));
}

function told(generation) {
  const { status, done, total, events_per_second: speed, seconds_left: left, of_this_version: isOurs } = generation;
  if (!isOurs) return ["is of another version of Gavel: only workers of that one keep it up to date"];
  if (status === "ready") return ["has read all of the log, and is kept up to date"];
  if (status === "previous") return ["is kept up to date, so that it can be swapped back"];
  const facts = [total ? `${percent(done, total)} of ${counted(total, "event")}` : "nothing was logged yet"];
  if (speed !== undefined) facts.push(`${rate(speed)}/s`);
  if (left !== undefined) facts.push(`${duration(left)} left`);
  return [facts.join(" · ")];
}

/** What stands in its way, and what a comparison has found. */
function sentences({ status, reason, waits, verifying, verification, dead_letters: open }) {
  return [
    reason && sentence("bad", `Stopped: ${reason}`),
    waits && sentence("warn", `Waits: ${waits}`),
    open ? sentence("warn", `${counted(open, "open dead letter")}`) : null,
    verifying && sentence("", status === "building" ? "Is compared as soon as it is built." : "Is being compared…"),
    !verifying && verification && sentence(verdictKind(verification), `${timeOfDay(verification.at)}: ${verification.summary}.`),
    !verifying && verification && !verification.is_equal && verification.comparable && differences(verification),
  ];
}

function verdictKind({ comparable, is_equal: isEqual }) {
  if (!comparable) return "warn";
  return isEqual ? "good" : "bad";
}

function differences({ tables }) {
  const lines = tables.flatMap((table) => [
    ...(table.missing_rows ?? []).map((each) => difference(table.table, "now", each)),
    ...(table.surplus_rows ?? []).map((each) => difference(table.table, "built", each)),
  ]);
  return h("details", {}, h("summary", {}, "The first rows that differ"), h("ul", { class: "differences" }, ...lines));
}

function difference(table, side, text) {
  return h("li", {}, badge(`${table}, ${side}`, side === "now" ? "" : "busy"), h("code", {}, text));
}

/** For people the word, for a screen reader also of what. */
function button({ command, label }, of, generation) {
  return h("button", { type: "button", "data-key": command, "data-act": command, "data-generation": generation, "aria-label": `${label} ${of}` }, label);
}

function detailsId({ name }) {
  return `details-${name}`;
}
