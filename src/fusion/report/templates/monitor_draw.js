"use strict";
// Small tools: elements whose text is always text, numbers in words, scales and the parts of a chart.

const SVG_SPACE = "http://www.w3.org/2000/svg"; // a name, not an address

// An element with attributes and children; strings become text nodes, so that nothing in the data is read as HTML.
function make(space, name, attributes, children) {
  const node = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const html = (name, attributes, ...children) => make(null, name, attributes, children);
const svg = (name, attributes, ...children) => make(SVG_SPACE, name, attributes, children);

const known = (value) => value !== null && value !== undefined;
function percent(part) {
  if (!known(part)) return "–";
  const value = (part / META.parts) * 100;
  return `${value > 0 && value < 1 ? "<1" : value > 99 && value < 100 ? ">99" : Math.round(value)}\u00a0%`;
}
const signed = (value) => (Math.abs(value) < 0.005 ? "0" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`);
const number = (value) => (known(value) ? String(value) : "–");
// A share of tumour DNA is small: shown as a per cent with two digits.
const share = (value) => (`${Number((value * 100).toPrecision(2))}\u00a0%`);
const spaced = (name) => String(name).replaceAll("_", " ");
// Names as people write them; any other stays as the tables have it.
const NAMES = { tumor_fraction: "ctDNA fraction", mean_vaf: "mean VAF", cfdna_ng_ml: "cell-free DNA (ng/mL)", progrp: "ProGRP", nse: "NSE", ldh: "LDH", nlr: "NLR", cyfra: "CYFRA 21-1", cyfra21_1: "CYFRA 21-1", plasma: "plasma ctDNA", labs: "blood tests and markers", variants: "tumour variants", expression: "tumour expression", methylation: "tumour methylation", histology: "histology", clinical: "clinical data", ecog: "ECOG", site: "centre", sld_mm: "sum of lesions (mm)", lesions: "tumour size", target_sum_mm: "sum of lesions (mm)", progressed: "progression on a scan" };
const called = (name) => (Object.hasOwn(NAMES, String(name).toLowerCase()) ? NAMES[String(name).toLowerCase()] : spaced(name));

// Linear or logarithmic places of values between two pixels.
function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (value) => value;
  const width = f(high) - f(low) || 1;
  return (value) => from + ((f(value) - f(low)) / width) * (to - from);
}

// Round steps that give at most so many ticks.
function ticks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((k) => k * power).find((each) => each >= rough) || 10 * power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(Number(value.toPrecision(10)));
  return found;
}

const line = (points, attributes) => svg("path", { d: points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""), fill: "none", ...attributes });
const label = (x, y, text, attributes) => svg("text", { x: x.toFixed(1), y: y.toFixed(1), ...attributes }, text);

// A drawing with a name that is read aloud. It is as wide as the page column, in CSS pixels, so that text keeps its size.
function drawing(width, height, title, ...children) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title, class: "chart" }, ...children);
}

// Frame of a panel: rules and labels on the left, the name above. `y` maps values to pixels.
function frame(box, name, values, y, text) {
  return svg("g", {},
    label(0, box.top - 11, name, { class: "panel-name" }),
    values.map((value) => [
      line([[box.left, y(value)], [box.right, y(value)]], { class: "rule" }),
      label(box.left - 5, y(value) + 4, text(value), { class: "tick", "text-anchor": "end" }),
    ]));
}

// Labels at the right end of lines, moved apart so that none covers another.
function endLabels(entries, x, gap) {
  const sorted = [...entries].sort((a, b) => a.y - b.y);
  sorted.forEach((each, i) => { each.at = i ? Math.max(each.y, sorted[i - 1].at + gap) : each.y; });
  return sorted.map((each) => label(x, each.at + 4, each.text, { class: "end", fill: each.colour }));
}
