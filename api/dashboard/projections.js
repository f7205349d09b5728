// The projections as their operator sees them: refreshed while they can be seen; each button asks before it acts.

import { SignedOut, getJson } from "/dashboard/access.js";
import { ofGeneration, ofProjection, order } from "/dashboard/commands.js";
import { become, byId, h } from "/dashboard/element.js";
import { openLetters } from "/dashboard/letters.js";
import { bodyOf } from "/dashboard/projection_rows.js";
import { wakeable } from "/dashboard/wakeable.js";

const REFRESH_MS = 2_000;
/** What an answer leaves out. */
const NOTHING_SAID = {
  lag_seconds: null,
  events_per_second: 0,
  dead_letters: 0,
  restarts: 0,
  partitions: [],
  workers: [],
  generations: [],
  decisions: [],
};
const COLUMNS = ["Projection", "Status", "Generation", "Behind", "Applied", "Workers", "Dead letters"];

const refresh = wakeable();
const opened = new Set();
let known = [];

/** Keeps the table current until `signal` is aborted. Throws SignedOut. */
export async function keepOperated(signal) {
  byId("operations-table").addEventListener("click", act, { signal });
  while (!signal.aborted) {
    if (!document.hidden) await look(signal);
    await refresh.wait(REFRESH_MS, signal);
  }
}

/** Looks again at once: something was decided. */
export function lookAgain() {
  refresh.now();
}

/** Forgets what was shown. */
export function forgetProjections() {
  known = [];
  opened.clear();
  byId("operations-table").replaceChildren();
  byId("operations-note").textContent = "";
  byId("operations-fault").textContent = "";
}

async function look(signal) {
  try {
    const answer = await getJson("/v1/projections", signal);
    known = answer.map((each) => ({ ...NOTHING_SAID, ...each }));
    draw();
    byId("operations-fault").textContent = "";
  } catch (error) {
    if (error instanceof SignedOut || signal.aborted) throw error;
    byId("operations-fault").textContent = `Not refreshed: ${error.message}`;
  }
}

function draw() {
  const table = byId("operations-table");
  const focused = table.contains(document.activeElement) ? document.activeElement.closest("tbody")?.dataset.key : null;
  const head = COLUMNS.map((title) => h("th", { scope: "col" }, title));
  become(table, [
    h("thead", {}, h("tr", {}, ...head, h("th", { scope: "col" }, h("span", { class: "unseen" }, "Commands")))),
    ...known.map((each) => bodyOf(each, { isOpen: opened.has(each.name), ofProjection, ofGeneration })),
  ]);
  // The button in use may be gone, because its command was done: the keyboard stays with the projection.
  if (focused && !table.contains(document.activeElement)) {
    table.querySelector(`tbody[data-key="${CSS.escape(focused)}"] .disclosure`)?.focus();
  }
}

function act(event) {
  const button = event.target.closest("button");
  if (!button) return;
  const projection = known.find(({ name }) => name === button.closest("tbody").dataset.key);
  const { act: what, generation } = button.dataset;
  if (what === "open") open(projection.name);
  else if (what === "letters") openLetters(projection.name);
  else order(what, projection, generation ? Number(generation) : undefined, tell);
}

function open(name) {
  if (!opened.delete(name)) opened.add(name);
  draw();
}

function tell(sentence) {
  byId("operations-note").textContent = sentence;
  lookAgain();
}
