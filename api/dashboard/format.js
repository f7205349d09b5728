// Numbers, money and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const share = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const NOTHING = "–";

export function count(value) {
  return value >= 100_000 ? compact.format(value) : whole.format(value);
}

/** A rate per second: small ones keep a digit. */
export function rate(value) {
  return value >= 100 || value === 0 ? count(value) : oneDigit.format(value);
}

export function percent(part, total) {
  return total > 0 ? share.format(part / total) : NOTHING;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return NOTHING;
  return value >= 100 ? whole.format(value) : oneDigit.format(value);
}

/** An amount in currency units with as many digits as it takes to see it. */
export function money(value) {
  const digits = value === 0 || value >= 10 ? 2 : value >= 1 ? 3 : 4;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function timeOfDay(iso) {
  return clock.format(new Date(iso));
}

export function moment(iso) {
  return full.format(new Date(iso));
}

/** A status or verdict in words. */
export function words(name) {
  return name.replaceAll("_", " ");
}
