// The dead letters of a projection: where each stands in the log, why it was parked, and what is decided about it.

import { getJson, postJson } from "/dashboard/access.js";
import { ask } from "/dashboard/ask.js";
import { become, byId, h } from "/dashboard/element.js";
import { counted, moment } from "/dashboard/format.js";

const PAGE = 50;

let shown = nothingOf(null);

/** Opens the list; `changed()` is called after whatever was decided. */
export async function openLetters(projection) {
  byId("letters-title").textContent = `Dead letters of ${projection}`;
  byId("letters-ended").checked = false;
  byId("letters-note").textContent = "";
  byId("letters-list").replaceChildren();
  shown = nothingOf(projection);
  if (!byId("letters").open) byId("letters").showModal();
  await load();
}

/** Wires the list: its ways out, what it shows, and the buttons of each letter. */
export function prepareLetters(changed) {
  const dialog = byId("letters");
  byId("letters-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  byId("letters-ended").addEventListener("change", () => load());
  byId("letters-more").addEventListener("click", () => load(shown.next));
  byId("letters-retry").addEventListener("click", () => retryAll(changed));
  byId("letters-list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) ACTIONS[button.dataset.act](Number(button.closest("li").dataset.key), changed);
  });
}

function nothingOf(projection) {
  return { projection, items: [], next: null, payloads: {} };
}

const ACTIONS = {
  inspect: (id) => inspect(id),
  retry: (id, changed) =>
    decide(changed, {
      path: `/v1/dead-letters/${id}/retry`,
      title: `Try letter ${id} again?`,
      verb: "Retry",
      tells: ["It is tried with all letters of its key, in the order of the log: the first one first, those that wait behind it after it."],
    }),
  skip: (id, changed) =>
    decide(changed, {
      path: `/v1/dead-letters/${id}/skip`,
      title: `Skip letter ${id}?`,
      verb: "Skip",
      grave: true,
      tells: ["It has no effect in this projection, now and in all that is built of it later.", "Those that wait behind it are tried then."],
      reason: "Why, for those who come after you",
    }),
};

function retryAll(changed) {
  decide(changed, {
    path: `/v1/dead-letters/retry?${new URLSearchParams({ projection: shown.projection })}`,
    title: `Try all letters of ${shown.projection} again?`,
    verb: "Retry all",
    tells: ["Key by key, each in the order of the log, until one cannot be applied still."],
  });
}

function decide(changed, { path, ...question }) {
  ask({
    ...question,
    send: async (chosen) => {
      const tried = await postJson(path, chosen);
      byId("letters-note").textContent = told(tried);
      changed();
      load();
    },
  });
}

function told({ applied, waiting, error }) {
  const open = waiting ? `${counted(waiting, "letter")} of these keys still open` : "none of these keys is open any more";
  return `${counted(applied, "letter")} applied, ${open}.${error ? ` Because: ${error}` : ""}`;
}

async function load(cursor = null) {
  const projection = shown.projection;
  const query = new URLSearchParams({ projection, limit: PAGE });
  if (byId("letters-ended").checked) query.set("ended", "true");
  if (cursor) query.set("cursor", cursor);
  try {
    const page = await getJson(`/v1/dead-letters?${query}`);
    if (projection !== shown.projection) return;
    shown = { ...shown, items: cursor ? [...shown.items, ...page.items] : page.items, next: page.next_cursor };
    draw();
  } catch (error) {
    byId("letters-note").textContent = error.message || "You are signed out.";
  }
}

async function inspect(id) {
  const { payloads } = shown;
  try {
    const letter = await getJson(`/v1/dead-letters/${id}?payload=true`);
    payloads[id] = letter.payload || "Nothing.";
    draw();
  } catch (error) {
    byId("letters-note").textContent = error.message || "You are signed out.";
  }
}

function draw() {
  const list = byId("letters-list");
  const wasUsed = list.contains(document.activeElement);
  const none = h("li", { class: "empty" }, "Nothing waits here: every event could be applied.");
  become(list, shown.items.length ? shown.items.map(letter) : [none]);
  byId("letters-more").hidden = !shown.next;
  byId("letters-retry").disabled = !shown.items.some(isOpen);
  // The letter in use may be gone, because it was decided about.
  if (wasUsed && !list.contains(document.activeElement)) byId("letters-close").focus();
}

function isOpen({ outcome }) {
  return !outcome;
}

function letter(each) {
  const button = (act, label) => h("button", { type: "button", "data-key": act, "data-act": act, "aria-label": `${label} letter ${each.id}` }, label);
  return h(
    "li",
    { class: "letter", "data-key": each.id },
    h("p", { class: "error" }, each.error),
    h(
      "dl",
      { class: "facts" },
      fact("Letter", each.id),
      fact("Stands at", `${each.topic} ${each.partition} @ ${each.offset}`),
      fact("Key", each.key ?? "none"),
      fact("Generation", each.generation),
      fact("Parked", moment(each.parked_at)),
      fact("Tried", counted(each.attempts, "time")),
      each.outcome && fact("Ended", `${each.outcome} by ${each.decided_by}, ${moment(each.decided_at)}`),
      each.reason && fact("Because", each.reason),
    ),
    h("p", { class: "actions" }, isOpen(each) && [button("retry", "Retry"), button("skip", "Skip")], button("inspect", "Payload")),
    each.id in shown.payloads && h("pre", { tabindex: 0, "aria-label": `What letter ${each.id} holds` }, shown.payloads[each.id]),
  );
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, String(value)));
}
