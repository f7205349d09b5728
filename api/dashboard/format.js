// Numbers, money and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const share = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const SPANS = [
  [86_400, "d", 3_600, "h"],
  [3_600, "h", 60, "min"],
  [60, "min", 1, "s"],
  [1, "s"],
];
const BYTE_UNITS = ["bytes", "kB", "MB", "GB", "TB"];

export const NOTHING = "–";

export function count(value) {
  return value >= 100_000 ? compact.format(value) : whole.format(value);
}

/** A position: every digit counts. */
export function digits(value) {
  return whole.format(value);
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

/** A span of time in its two largest units: what is shorter than a second is "< 1 s". */
export function duration(seconds) {
  if (seconds < 1) return seconds > 0 ? "< 1 s" : "0 s";
  const [size, unit, smaller, smallerUnit] = SPANS.find(([each]) => seconds >= each);
  const rest = smaller ? Math.floor((seconds % size) / smaller) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${smallerUnit}` : ""}`;
}

/** A number with the word for what is counted: "1 worker", "1,234 rows". */
export function counted(value, thing) {
  return `${count(value)} ${thing}${value === 1 ? "" : "s"}`;
}

export function bytes(value) {
  const step = Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log10(Math.max(value, 1)) / 3));
  return `${rate(value / 1_000 ** step)} ${BYTE_UNITS[step]}`;
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
