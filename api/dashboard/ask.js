// A question before anything is changed: what will happen, what there is to choose, and why it was refused.

import { byId, h } from "/dashboard/element.js";

const REASON_MAX_CHARS = 1_000;

let send = async () => {};

/**
 * Asks, and sends when it is confirmed; a refusal is shown and the question stays.
 * `question` is {title, tells, choices, reason, verb, grave, send}: sentences, [{name, label, checked}], the label of a
 * text that has to be given, the button's word, whether something is lost, and an async function of what was chosen.
 */
export function ask(question) {
  send = question.send;
  byId("ask-title").textContent = question.title;
  byId("ask-tells").replaceChildren(...question.tells.map((sentence) => h("p", {}, sentence)));
  byId("ask-choices").replaceChildren(...(question.choices ?? []).map(choice), ...(question.reason ? text(question.reason) : []));
  byId("ask-fault").textContent = "";
  const button = byId("ask-send");
  button.textContent = question.verb;
  button.classList.toggle("grave", Boolean(question.grave));
  settle(false);
  byId("ask").showModal();
}

/** Wires the dialog: its two buttons, and a click beside it. Escape closes it by itself. */
export function prepareAsking() {
  const dialog = byId("ask");
  byId("ask-back").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  byId("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sendChosen();
  });
}

async function sendChosen() {
  const asked = send;
  settle(true);
  byId("ask-fault").textContent = "";
  try {
    await asked(chosen());
    if (asked === send) byId("ask").close();
  } catch (error) {
    if (asked === send) byId("ask-fault").textContent = error.message || "You are signed out.";
  } finally {
    if (asked === send) settle(false);
  }
}

function settle(isSending) {
  byId("ask-send").disabled = isSending;
}

function chosen() {
  const inputs = [...byId("ask-choices").querySelectorAll("input, textarea")];
  return Object.fromEntries(inputs.map((input) => [input.name, input.type === "checkbox" ? input.checked : input.value.trim()]));
}

function choice({ name, label, checked }) {
  return h("label", { class: "choice" }, h("input", { type: "checkbox", name, checked: checked && "" }), h("span", {}, label));
}

function text(label) {
  return [
    h("label", { for: "ask-reason" }, label),
    h("textarea", { id: "ask-reason", name: "reason", rows: 3, maxlength: REASON_MAX_CHARS, required: "" }),
  ];
}
