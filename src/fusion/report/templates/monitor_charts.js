"use strict";
// The charts of one patient. Each takes the patient, the index of the chosen visit and a width in pixels.

const COLOURS = ["#0b5aa2", "#b3470b", "#00705f", "#8a3a86", "#57616e"];
// Not those of the markers above them.
const RISK_COLOURS = ["#14202b", "#9aa2ac"], RISK_NAMES = ["#14202b", "#6b747f"]; // what is read is darker than what is drawn
const SIZE_COLOUR = "#3d4651", WORSE = "#a4262c";
const LEFT = 50;

// Days from the first to the last visit, draw, scan or progression, with a little room. What comes later is told at the edge.
function span(patient) {
  const end = patient.ends[META.primary];
  const days = [0, ...patient.day, ...patient.draws, ...patient.scans.map(([day]) => day), ...patient.dna.map(([day]) => day), ...(known(end) && end[1] ? [end[0]] : [])];
  const low = Math.min(...days), high = Math.max(...days, low + 30);
  return [low - (high - low) * 0.015, high + (high - low) * 0.03];
}

// What happened, as [day, word, kind].
function happenings(patient) {
  const found = [];
  for (const [task, , short] of META.tasks) {
    const end = patient.ends[task];
    if (!known(end)) continue;
    const [day, event] = end;
    const death = patient.ends.os || patient.ends.death;
    const isDeath = task === "os" || task === "death" || (known(death) && death[1] && death[0] <= day && task === META.primary);
    if (event) found.push([day, isDeath ? "death" : task === "pfs" || task === "progression" ? "progression" : short, isDeath ? "death" : "progression"]);
    else if (!found.some(([other, word]) => other === day && word === "end of follow-up") && (task === "os" || !known(patient.ends.os))) found.push([day, "end of follow-up", "censored"]);
  }
  return found.filter(([day, word], i) => found.findIndex(([d, w]) => d === day && w === word) === i);
}

// All that has a date, on one axis: visits and scans, tumour DNA over tumour size, markers, and the risk at each visit.
function courseChart(patient, chosen, width, choose) {
  const right = width - (width < 500 ? 62 : 96);
  const x = scale(...span(patient), LEFT, right);
  const parts = [];
  let top = 26;
  for (const panel of [timelinePanel, dnaPanel, sizePanel, markerPanel, riskPanel]) {
    const made = panel(patient, chosen, { left: LEFT, right, top, width }, x);
    if (!made) continue;
    parts.push(made.node);
    top += made.height + 34;
  }
  const bottom = top - 22;
  const [low, high] = span(patient);
  const days = ticks(low, high, Math.max(3, Math.floor((right - LEFT) / 70)));
  const now = x(patient.day[chosen]);
  const later = right - now > 8 && svg("rect", { x: now + 6, y: 8, width: right - now - 1, height: bottom - 8, class: "later" });
  const chart = drawing(width, bottom + 34, courseWords(patient),
    days.map((day) => line([[x(day), 14], [x(day), bottom]], { class: "rule" })),
    line([[x(0), 8], [x(0), bottom]], { class: "start" }),
    parts, later,
    line([[now, 8], [now, bottom]], { class: "chosen" }),
    days.map((day) => label(x(day), bottom + 14, day, { class: "tick", "text-anchor": "middle" })),
    label(LEFT, bottom + 30, "days since start of treatment (day 0)", { class: "axis" }));
  // Names stay legible over the pale part.
  chart.append(...chart.querySelectorAll(".panel-name, .end, .event, .picked"));
  chart.addEventListener("click", (event) => {
    const at = ((event.clientX - chart.getBoundingClientRect().left) * width) / chart.getBoundingClientRect().width;
    const far = patient.day.map((day) => Math.abs(x(day) - at));
    choose(far.indexOf(Math.min(...far)));
  });
  return chart;
}

function courseWords(patient) {
  const courses = patient.treated.map(([name, start, end]) => `${name} from day ${start}${known(end) ? ` to ${end}` : ""}`);
  return `Course over time: ${courses.length ? `${courses.join(", ")}; ` : ""}${patient.day.length} visits, ${patient.scans.length} scans, ${patient.dna.length} ctDNA samples. The same figures are in the tables below.`;
}

const narrow = (box) => box.width < 500;

const BAR = 17;

// The last day on which anything is known of a patient.
const lastKnown = (patient) => Math.max(...patient.day, ...Object.values(patient.ends).filter(known).map(([day]) => day));

// Courses of treatment, each on the first line where it and its name fit, the name beside a bar that is too short for it; one
// without an end goes on as far as the patient is known.
function treatmentLines(patient, box, x) {
  const free = [];
  return patient.treated.map(([name, start, end]) => {
    const left = Math.max(x(start), box.left), right = Math.min(known(end) ? x(end) : x(lastKnown(patient)), box.right);
    const beside = (right - left) / 5.8 < name.length + 1 && (box.right - right) / 5.8 > name.length + 1, from = (beside ? right : left) + 4;
    const room = Math.floor((box.right - from) / 5.8);
    const text = name.length > room ? `${name.slice(0, Math.max(room - 1, 1))}…` : name;
    let row = free.findIndex((taken) => taken <= left + 1);
    if (row < 0) row = free.length;
    free[row] = Math.max(right, from + text.length * 5.8 + 4);
    return { row, left, right, from, text, name, start, end };
  }).filter(({ left, right }) => right >= left && left < box.right);
}

// Treatment, visits, blood draws, scans with their response, and what happened.
function timelinePanel(patient, chosen, box, x) {
  const bars = treatmentLines(patient, box, x), taken = bars.length ? (Math.max(...bars.map(({ row }) => row)) + 1) * BAR + 3 : 0;
  const made = timelineRows(patient, chosen, { ...box, top: box.top + taken }, x);
  if (!bars.length) return made;
  const treatment = bars.map(({ row, left, right, from, text, name, start, end }) => [
    svg("rect", { x: left, y: box.top + row * BAR - 8, width: Math.max(right - left, 2), height: 14, rx: 2, class: "treatment" }, svg("title", {}, `${name}, day ${start} ${known(end) ? `to ${end}` : "on"}`)),
    label(from, box.top + row * BAR + 3, text, { class: "treated" }),
  ]);
  return { node: svg("g", {}, label(box.left - 5, box.top + 3, "treated", { class: "tick", "text-anchor": "end" }), treatment, made.node), height: made.height + taken };
}

function timelineRows(patient, chosen, box, x) {
  const rows = [["visits", patient.day], ["blood", patient.draws], ["scans", patient.scans.map(([day]) => day)]].filter(([, days]) => days.length);
  const nodes = rows.map(([name, days], i) => [
    label(box.left - 5, box.top + i * 19 + 4, name, { class: "tick", "text-anchor": "end" }),
    days.map((day) => {
      if (name === "visits") return svg("circle", { cx: x(day), cy: box.top + i * 19, r: patient.day[chosen] === day ? 5.5 : 4, class: patient.day[chosen] === day ? "visit picked" : "visit" });
      if (name === "blood") return svg("path", { d: `M${x(day)} ${box.top + i * 19 - 5}l4 7a4 4 0 1 1 -8 0z`, class: patient.dna.length && !patient.dna.some((point) => point[0] === day) ? "blood without" : "blood" });
      return svg("rect", { x: x(day) - 3.5, y: box.top + i * 19 - 3.5, width: 7, height: 7, class: "scan" });
    }),
  ]);
  const end = box.top + rows.length * 19;
  const events = happenings(patient), within = events.filter(([day]) => x(day) <= box.right + 1), beyond = events.filter(([day]) => x(day) > box.right + 1);
  let edge = Infinity;
  const words = [...within].sort((a, b) => b[0] - a[0]).map(([day, word, kind]) => {
    const text = `${word}, day ${day}`, right = Math.min(x(day) - 9, edge), fits = right - text.length * 6.4 > box.left;
    if (fits) edge = right - text.length * 6.4 - 20;
    return [
      kind === "censored" ? line([[x(day), end - 6], [x(day), end + 6]], { class: "censored" }) : svg("path", { d: `M${x(day)} ${end - 7}l7 7l-7 7l-7 -7z`, class: kind }),
      fits ? label(right, end + 4, text, { class: "event", "text-anchor": "end" }) : null,
    ];
  });
  const after = end + (within.length ? 19 : 0);
  if (beyond.length) words.push(label(box.right, after + 4, `${beyond.map(([day, word]) => `${word}, day ${day}`).join("; ")} →`, { class: "event", "text-anchor": "end" }));
  if (within.length) words.push(label(box.left - 5, end + 4, "events", { class: "tick", "text-anchor": "end" }));
  if (beyond.length) words.push(label(box.left - 5, after + 4, "later", { class: "tick", "text-anchor": "end" }));
  return { node: svg("g", {}, nodes, words), height: after - box.top + (beyond.length ? 19 : 0) - 8 };
}

// Tumour DNA on a logarithmic axis; a sample below its limit of detection is an open circle on that limit.
function dnaPanel(patient, chosen, box, x) {
  const points = patient.dna;
  if (!points.length) return null;
  // The limit is drawn too, so it must lie within the axis.
  const shown = points.flatMap(([, value, limit, detected]) => [detected && value > 0 ? value : limit, limit]).filter((value) => value > 0);
  if (!shown.length) return null;
  const low = 10 ** Math.floor(Math.log10(Math.min(...shown)) - 0.05), high = 10 ** Math.ceil(Math.log10(Math.max(...shown)) + 0.01);
  const height = 104, y = scale(low, high, box.top + height, box.top, true);
  const values = [];
  for (let value = low; value <= high * 1.001; value *= 10) values.push(Number(value.toPrecision(3)));
  const place = ([day, value, limit, detected]) => [x(day), y(detected && value > 0 ? value : limit > 0 ? limit : low)];
  const limits = points.filter((point) => point[2] > 0).map(([day, , limit]) => [x(day), y(limit)]);
  return {
    height,
    node: svg("g", {}, frame(box, `${META.dna} (${narrow(box) ? "log" : "log scale"}; ○ not detected)`, values, y, (value) => `${Number((value * 100).toPrecision(3))} %`),
      limits.length ? [line(limits.length > 1 ? limits : [[box.left, limits[0][1]], [box.right, limits[0][1]]], { class: "limit" }), label(box.right + 5, limits.at(-1)[1] + 4, narrow(box) ? "limit" : "detection limit", { class: "end" })] : null,
      points.slice(1).map((point, i) => line([place(points[i]), place(point)], { class: point[3] || points[i][3] ? "series" : "series unseen", stroke: COLOURS[0] })),
      points.map((point) => svg("circle", { cx: place(point)[0], cy: place(point)[1], r: 3.6, stroke: COLOURS[0], fill: point[3] ? COLOURS[0] : "#fff", "stroke-width": 1.6 }))),
  };
}

// Sum of the diameters of target lesions, with the RECIST response of each scan.
function sizePanel(patient, chosen, box, x) {
  const points = patient.scans.filter(([, size]) => known(size));
  if (!points.length) return null;
  const high = Math.max(...points.map(([, size]) => size), 10) * 1.22;
  const height = 84, y = scale(0, high, box.top + height, box.top);
  let free = -Infinity, last = null;
  return {
    height,
    node: svg("g", {}, frame(box, narrow(box) ? "tumour size: target lesions, mm" : "tumour size on scans: sum of target lesions, mm, and RECIST response where it changes", ticks(0, high, 3), y, String),
      line(points.map(([day, size]) => [x(day), y(size)]), { class: "series", stroke: SIZE_COLOUR }),
      points.map(([day, size, , response, fresh]) => {
        const text = response && (response !== last || fresh) ? response + (fresh ? ", new lesion" : "") : "";
        last = response || last;
        const fits = x(day) - free > text.length * 7 || (response === "PD" && x(day) - free > 8);
        if (text && fits) free = x(day);
        return [
          svg("rect", { x: x(day) - 3.5, y: y(size) - 3.5, width: 7, height: 7, fill: response === "PD" ? WORSE : SIZE_COLOUR }),
          text && fits ? label(x(day), y(size) - 9, text, { class: response === "PD" ? "recist worse" : "recist", "text-anchor": "middle" }) : null,
        ];
      })),
  };
}

// Serum markers as a multiple of their value before treatment, at most five.
function markerPanel(patient, chosen, box, x) {
  const series = patient.markers.slice(0, 5).map(([name, unit, points]) => {
    const usable = points.filter(([, value]) => value > 0);
    const base = usable.filter(([day]) => day <= 0).at(-1) || usable[0];
    return base ? { name, points: usable.map(([day, value]) => [day, value / base[1]]) } : null;
  }).filter((each) => each && each.points.length);
  if (!series.length) return null;
  const all = series.flatMap((each) => each.points.map(([, value]) => value));
  const low = Math.min(0.5, ...all), high = Math.max(2, ...all);
  const height = 104, y = scale(low, high, box.top + height, box.top, true);
  const values = [1 / 64, 1 / 16, 1 / 4, 1 / 2, 1, 2, 4, 16, 64].filter((value) => value >= low * 0.99 && value <= high * 1.01);
  return {
    height,
    node: svg("g", {}, frame(box, narrow(box) ? "blood markers, × pre-treatment value (log)" : "blood markers, times the value before treatment (log scale)", values, y, (value) => (value < 1 ? `1/${1 / value}` : `×${value}`)),
      series.map(({ points }, i) => [
        line(points.map(([day, value]) => [x(day), y(value)]), { class: "series thin", stroke: COLOURS[i] }),
        points.map(([day, value]) => svg("circle", { cx: x(day), cy: y(value), r: 2.2, fill: COLOURS[i] })),
      ]),
      endLabels(series.map(({ name, points }, i) => ({ y: y(points.at(-1)[1]), text: called(name), colour: COLOURS[i] })), box.right + 5, 13)),
  };
}

// Risk within both horizons at every visit, the threshold of the alert, and the visits that raised it.
function riskPanel(patient, chosen, box, x) {
  const task = META.primary;
  if (!task || !patient.risk[task][0].concat(patient.risk[task][1]).some(known)) return null;
  const height = 112, y = scale(0, META.parts, box.top + height, box.top);
  const traces = [1, 0].map((k) => ({
    points: patient.risk[task][k].map((risk, i) => (known(risk) ? [x(patient.day[i]), y(risk)] : null)).filter(known),
    colour: RISK_COLOURS[k], ink: RISK_NAMES[k], text: `${META.horizons[k]} days`,
  })).filter((each) => each.points.length);
  // A trace that stops at the event is named where it stops.
  const endsEarly = ({ points }) => box.right - points.at(-1)[0] > 70;
  const alarms = patient.alerts.map((alert, i) => [alert, i]).filter(([alert, i]) => known(alert) && alert[0] && known(patient.risk[task][0][i]));
  const threshold = patient.alerts.map((alert, i) => (known(alert) && known(alert[1]) ? [x(patient.day[i]), y(alert[1])] : null)).filter(known);
  return {
    height,
    node: svg("g", {}, frame(box, narrow(box) ? `risk of ${eventName(task)} within …` : `predicted risk of ${eventName(task)}, within ${META.horizons[0]} days (dark) and ${META.horizons[1]} (grey)${threshold.length ? "; ▲ alert: the dark line reached the dashed one" : ""}`, [0, 0.25, 0.5, 0.75, 1].map((v) => v * META.parts), y, (v) => `${(v / META.parts) * 100} %`),
      threshold.length ? [line(threshold.length > 1 ? threshold : [[box.left, threshold[0][1]], [box.right, threshold[0][1]]], { class: "limit" })] : null,
      traces.map(({ points, colour }, k) => [line(points, { class: k ? "series" : "series thin", stroke: colour }), points.map(([cx, cy]) => svg("circle", { cx, cy, r: k ? 3.4 : 2.2, fill: colour }))]),
      traces.filter(endsEarly).map(({ points, ink, text }) => label(points.at(-1)[0] + 9, points.at(-1)[1] - 5, text, { class: "end", fill: ink })),
      alarms.map(([, i]) => svg("path", { d: `M${x(patient.day[i])} ${y(patient.risk[task][0][i]) - 7}l7 12h-14z`, class: "alarm" })),
      endLabels([...traces.filter((each) => !endsEarly(each)).map(({ points, ink, text }) => ({ y: points.at(-1)[1], text, colour: ink })), ...threshold.slice(-1).map(([, at]) => ({ y: at, text: narrow(box) ? "alert" : `alert line, ${META.horizons[0]} d`, colour: COLOURS[4] }))], box.right + 5, 13)),
  };
}

// Lowest and highest curve among the models of the ensemble, or nothing.
function rangeOf(patient, task, chosen) {
  const mine = patient.curve[task]?.[chosen], below = patient.below[task]?.[chosen], above = patient.above[task]?.[chosen];
  if (!mine || !below || !above) return [];
  const moved = (far, way) => mine.map((value, i) => (known(value) && known(far[i]) ? Math.min(META.parts, Math.max(0, value + (way * far[i] * META.parts) / 1000)) : null));
  return [moved(below, -1), moved(above, 1)];
}

// Probability of no event in the days after the chosen visit; curves of earlier visits grey.
function curveChart(patient, chosen, task, width) {
  const curves = patient.curve[task] || [];
  const mine = curves[chosen];
  const height = 190, box = { left: 44, right: width - 76, top: 26 };
  const last = META.times.at(-1);
  const x = scale(0, last, box.left, box.right), y = scale(0, META.parts, box.top + height, box.top);
  const places = (values) => [[x(0), y(META.parts)], ...values.map((value, i) => (known(value) ? [x(META.times[i]), y(value)] : null)).filter(known)];
  // As it was seen at the first visit and at the one before; all of them hide one another.
  const before = [0, chosen - 1].filter((i, at, all) => i < chosen && i >= 0 && all.indexOf(i) === at && curves[i]).map((i) => [i ? "visit before" : "first visit", curves[i]]);
  const days = last > 1500 ? ticks(0, last, 5) : [0, 90, 180, 365, 545, 730, 1095].filter((day) => day <= last && (width > 420 || day !== 545));
  const nodes = [];
  const flatFrom = (values) => values.findLastIndex((value, i) => i && value !== values[i - 1]);
  before.forEach(([name, values]) => nodes.push(line(places(values).slice(0, flatFrom(values) + 2), { class: name === "first visit" ? "older" : "previous" })));
  if (mine) {
    const [low, high] = rangeOf(patient, task, chosen);
    // The flat end is where the training patients end: not drawn, so that it is not read as cure.
    const reach = flatFrom(mine) + 2;
    if (low) nodes.push(svg("path", { d: `M${[...places(low).slice(0, reach), ...places(high).slice(0, reach).reverse()].map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L")}Z`, class: "band" }));
    const all = places(mine).slice(0, reach);
    nodes.push(line(all, { class: "series now" }));
    const start = all.at(-1);
    if (box.right - start[0] > 110) nodes.push(label((start[0] + box.right) / 2, Math.min(start[1] + 16, box.top + height - 5), box.right - start[0] > 210 ? "beyond what the training data tell" : "not known", { class: "unknown", "text-anchor": "middle" }));
    const bound = patient.bounds[task]?.[chosen];
    if (known(bound)) nodes.push(line([[x(Math.min(bound, last)), box.top], [x(Math.min(bound, last)), box.top + height]], { class: "limit" }));
    META.horizons.forEach((horizon, k) => {
      const risk = patient.risk[task][k][chosen];
      if (!known(risk) || horizon > last) return;
      const [px, py] = [x(horizon), y(META.parts - risk)];
      nodes.push(svg("circle", { cx: px, cy: py, r: 4, class: "reading" }), label(px + 7, py - 5, percent(META.parts - risk), { class: "value" }));
    });
    const ends = [["this visit", mine, COLOURS[0]], ...before.map(([name, values]) => [name, values, "#57616e"])];
    nodes.push(endLabels(ends.map(([name, values, colour]) => ({ y: places(values).at(-1)[1], text: name, colour })), box.right + 5, 13));
  }
  return drawing(width, box.top + height + 40, `${taskName(task)} after visit ${patient.visit[chosen]}`,
    frame(box, "probability", [0, 0.25, 0.5, 0.75, 1].map((v) => v * META.parts), y, (v) => `${(v / META.parts) * 100} %`),
    nodes,
    days.map((day) => [line([[x(day), box.top + height], [x(day), box.top + height + 4]], { class: "start" }), label(x(day), box.top + height + 17, day, { class: "tick", "text-anchor": "middle" })]),
    label(box.left, box.top + height + 34, before.length ? `days after each curve's own visit (this one: day ${patient.day[chosen]})` : `days after the visit of day ${patient.day[chosen]}`, { class: "axis" }));
}

// A slide: a square per patch where it lies, orange where it raises and blue where it lowers, stronger where it does more.
function slideChart(slide, task, width, title) {
  const columns = Math.max(...slide.x) + 1, rows = Math.max(...slide.y) + 1;
  const side = Math.min(width / columns, 320 / rows);
  return drawing(Math.ceil(Math.max(columns * side, 160)), Math.ceil(rows * side) + 2, title,
    svg("rect", { x: 0, y: 0, width: columns * side, height: rows * side, class: "glass" }),
    svg("g", { class: "slide-chart" }, slide.task[task].value.map((value, i) => svg("rect", { x: (slide.x[i] * side).toFixed(1), y: (slide.y[i] * side).toFixed(1), width: side.toFixed(2), height: side.toFixed(2), fill: value < 0 ? COLOURS[0] : COLOURS[1], "fill-opacity": (0.08 + 0.0092 * Math.abs(value)).toFixed(2) }))));
}

// Signed bars: to the right raises, to the left lowers.
function reasonBars(entries, most, width) {
  const middle = width * 0.75, reach = width * 0.17;
  return drawing(width, entries.length * 24 + 24, entries.map(([name, value, words]) => words).join("; "),
    label(middle - 6, 12, "lowers ←", { class: "tick", "text-anchor": "end" }), label(middle + 6, 12, "→ raises", { class: "tick" }),
    entries.map(([name, value], i) => {
      const size = (Math.abs(value) / most) * reach, at = 24 + i * 24;
      return [
        label(0, at + 12, name.length * 6.4 > width * 0.54 ? `${name.slice(0, Math.floor((width * 0.54) / 6.4))}…` : name, { class: "reason" }),
        svg("rect", { x: value < 0 ? middle - size : middle, y: at, width: Math.max(1, size), height: 15, fill: value < 0 ? COLOURS[0] : COLOURS[1] }),
        label(value < 0 ? middle - size - 4 : middle + size + 4, at + 12, signed(value), { class: "tick", "text-anchor": value < 0 ? "end" : "start" }),
      ];
    }),
    line([[middle, 18], [middle, 24 + entries.length * 24]], { class: "start" }));
}
