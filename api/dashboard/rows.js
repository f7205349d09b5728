// The parts that the rows of an operator's table are made of; on a phone each cell stands under its own title.

import { h } from "/dashboard/element.js";
import { count, duration } from "/dashboard/format.js";

const LAG_GOOD = 1_000;
const LAG_BAD = 20_000;

export function row(key, attributes, ...cells) {
  return h("tr", { class: key, ...attributes, "data-key": key }, ...cells);
}

export function cell(title, ...content) {
  return h("td", { "data-title": title }, ...content);
}

/** Says over the whole width of so many columns what is the matter. */
export function sentenceRow(key, kind, text, columns) {
  return row(key, { class: "other" }, h("td", { colspan: columns }, sentence(kind, text)));
}

export function sentence(kind, text) {
  return h("p", { class: `sentence ${kind}` }, text);
}

export function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}` }, text);
}

/** How far somebody is behind the log. */
export function behind({ lag, lag_seconds: seconds }) {
  if (lag === null) return badge("unknown", "warn");
  if (lag === 0) return badge("up to date", "good");
  const late = seconds === null ? "" : ` · ${duration(seconds)}`;
  return badge(`${count(lag)}${late}`, lag < LAG_GOOD ? "good" : lag < LAG_BAD ? "warn" : "bad");
}

/** The button that shows all else there is of a row, in the element of that id, and takes it away again. */
export function disclosure(text, isOpen, id) {
  const attributes = { type: "button", class: "disclosure", "data-act": "open", "aria-expanded": String(isOpen) };
  return h("button", { ...attributes, "aria-controls": isOpen && id }, text);
}
