// Elements from data. Texts become text nodes, never markup: what bidders and publishers send is shown, not run.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `h("td", {class: "number"}, "12")`. Attributes of null, undefined and false are left out. */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

/**
 * Gives `element` these children, by changing those it has: focus, an open part and a button that is being pressed stay.
 * Children with `data-key` are known by it, others by their place. Listeners stay with the element that has them.
 */
export function become(element, children) {
  const had = new Map(keysOf(element.childNodes));
  const next = keysOf(children).map(([key, child]) => {
    const kept = had.get(key);
    had.delete(key);
    return kept ? changed(kept, child) : child;
  });
  had.forEach((gone) => gone.remove());
  next.forEach((child, index) => child === element.childNodes[index] || element.insertBefore(child, element.childNodes[index] ?? null));
}

function keysOf(nodes) {
  const places = {};
  return [...nodes].map((node) => {
    const place = (places[node.nodeName] = (places[node.nodeName] ?? 0) + 1);
    return [`${node.nodeName} ${node.dataset?.key ?? place}`, node];
  });
}

function changed(node, into) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== into.data) node.data = into.data;
    return node;
  }
  for (const { name } of [...node.attributes]) if (name !== "open" && !into.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of into.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  become(node, into.childNodes);
  return node;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
