// Small charts, drawn as SVG: a line is a list of samples, oldest first; null is a gap.

import { svg } from "/dashboard/element.js";

const WIDTH = 120;
const HEIGHT = 40;

/** A line with a filled area, scaled to its own highest sample. */
export function sparkline(samples, slots) {
  const top = Math.max(1e-9, ...samples.filter((each) => each !== null));
  const line = path(samples, slots, top);
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  if (!line) return svg("svg", frame);
  const start = x(slots - samples.length, slots);
  const area = samples.includes(null) ? null : svg("path", { class: "spark-area", d: `${line}V${HEIGHT}H${start}Z` });
  return svg("svg", frame, area, svg("path", { class: "spark-line", d: line }));
}

/** Several lines over one scale; `lines` is [{name, samples}], the name is the line's class. */
export function lineChart(lines, slots, top, label) {
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: y(share), y2: y(share) }),
  );
  const drawn = lines.map(({ name, samples }) => svg("path", { class: `line ${name}`, d: path(samples, slots, top) }));
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    ...grid,
    ...drawn,
  );
}

function path(samples, slots, top) {
  let commands = "";
  let pen = "M";
  samples.forEach((sample, index) => {
    if (sample === null) {
      pen = "M";
      return;
    }
    commands += `${pen}${x(slots - samples.length + index, slots)} ${y(Math.min(sample / top, 1))}`;
    pen = "L";
  });
  return commands;
}

function x(slot, slots) {
  return ((slot / (slots - 1)) * WIDTH).toFixed(2);
}

/** Leaves room for half a line's width at both ends. */
function y(share) {
  return (HEIGHT - 1 - share * (HEIGHT - 2)).toFixed(2);
}
