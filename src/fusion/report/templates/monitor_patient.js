"use strict";
// The page of one patient: what is said after the chosen visit, the course, curves, reasons, and everything as tables.

const taskName = (task) => (META.tasks.find(([key]) => key === task) || [task, spaced(task)])[1];
const shortName = (task) => (META.tasks.find(([key]) => key === task) || [task, "", spaced(task)])[2];
const eventName = (task) => ({ pfs: "progression or death", progression: "progression", os: "death", death: "death" }[task] || `the event of ${taskName(task)}`);
const CALL_SHORT = { "fall of 50 % or more": "≥ 50 % fall", "fall of 90 % or more": "≥ 90 % fall", "fall under 50 %": "< 50 % fall", clearance: "clearance", rise: "above baseline", baseline: "baseline", "no call": "no call" };

// What a conformal set of responses says.
const SETS = ["unlike responders and the others alike", "no response", "response", "both outcomes remain possible"];

// A set goes by how rare such a chance is among responders and the others: it may lie on the other side of one half.
function setWords(set, response) {
  if (set === 1 && response >= META.parts / 2) return " (few responders had a chance as low)";
  return set === 2 && response < META.parts / 2 ? " (few others had a chance as high)" : "";
}

// The last tumour DNA sample known at a visit, or null.
const dnaAt = (patient, index) => patient.dna.filter((point) => point[4] <= patient.visit[index]).at(-1) || null;
// The last scan by the day of a visit, or null.
const scanAt = (patient, index) => patient.scans.filter(([day, size]) => day <= patient.day[index] && known(size)).at(-1) || null;

// A rise from the lowest value so far, which a fall against baseline may hide; empty where there is none to speak of.
const riseWords = (point, patient) => (point && point[3] && known(point[7]) && point[7] >= 1.5 ? `${patient.dna.some((each) => each[0] < point[0] && !each[3]) ? "at least " : ""}×${Number(point[7].toPrecision(2))} its lowest so far` : "");

// How far the tumour has grown from its smallest; empty where it has hardly.
function growthWords(patient, scan) {
  const smallest = patient.scans.filter(([day, size]) => known(size) && day <= scan[0]).reduce((a, b) => (b[1] < a[1] ? b : a), scan);
  const more = scan[1] - smallest[1];
  return more >= 3 && more >= 0.1 * smallest[1] ? `up ${Number(more.toPrecision(2))} mm${smallest[1] > 0 ? ` (${Math.round((100 * more) / smallest[1])}\u00a0%)` : ""} from its smallest on day ${smallest[0]}` : "";
}

// Day of the last alarm raised by a visit, and of the one that is still up there: raised not long before. Null without one.
const lastAlarm = (patient, index) => patient.day.filter((_, i) => i <= index && patient.alerts[i]?.[0]).at(-1) ?? null;

function alarmAt(patient, index) {
  const day = lastAlarm(patient, index);
  return known(day) && patient.day[index] - day <= META.alertDays ? day : null;
}

function dnaValue(point) {
  if (!point) return "–";
  const [, value, limit, detected] = point;
  return detected ? share(value) : limit > 0 ? `not detected (below ${share(limit)})` : "not detected";
}

// How a risk moved since the visit before, in percentage points.
function change(now, before) {
  if (!known(now) || !known(before)) return null;
  const points = Math.round((now / META.parts) * 100) - Math.round((before / META.parts) * 100);
  return { points, sign: points > 0 ? "↑" : points < 0 ? "↓" : "=", words: points ? `${points > 0 ? "up" : "down"} ${Math.abs(points)} ${Math.abs(points) === 1 ? "point" : "points"}` : "unchanged", kind: points >= 5 ? "worse" : points <= -5 ? "better" : "same" };
}

function statusWords(patient) {
  const [code, day] = patient.status, end = patient.ends[META.primary];
  const word = META.primary === "pfs" || META.primary === "progression" ? "progressed" : "had the event";
  if (code === 2 && META.primary !== "os" && META.primary !== "death" && known(end) && end[1] && end[0] < day) return `${word} on day ${end[0]}, died on day ${day}`;
  return [`no ${META.primary === "pfs" || META.primary === "progression" ? "progression" : "event"} by day ${day}`, `${word} on day ${day}`, `died on day ${day}`, META.heldOut ? "outcome not known" : "new patient: outcome not known"][code];
}

function patientView(patient, chosen, choose) {
  return [
    html("p", { class: "back" }, html("a", { href: "#", id: "back" }, "← All patients"), html("span", { class: "keys" }, "Escape: all patients · ← → : visits")),
    html("h1", { tabindex: "-1", id: "title" }, "Patient ", patient.id),
    html("p", { class: "kicker" }, META.simulated ? html("span", { class: "tag" }, "Simulated patient") : null, patient.facts.length ? html("span", { class: "fact" }, "Before treatment:") : null, patient.facts.slice(0, 12).map(([name, value]) => html("span", { class: "fact" }, html("b", {}, called(name)), " ", value))),
    html("p", { class: "answered" }, answeredWords(patient)),
    stepper(patient, chosen, choose),
    html("div", { id: "at" }),
  ];
}

function answeredWords(patient) {
  if (!META.heldOut) return "New patient: answered by the models of the run, which never saw this patient.";
  const repeats = patient.answered.includes(" and ");
  return `Held out: every figure comes from models that were not trained on this patient${patient.answered ? ` (${patient.answered})` : ""}.${repeats ? " Curves and risks are the mean over repeats." : ""}`;
}

// The visit that everything below speaks of.
function stepper(patient, chosen, choose) {
  const last = patient.visit.length - 1;
  const slider = html("input", { type: "range", id: "visit", min: 0, max: last, step: 1, value: chosen, "aria-label": "Visit", "aria-valuetext": visitWords(patient, chosen) });
  slider.value = String(chosen);
  slider.addEventListener("input", () => choose(Number(slider.value)));
  const step = (by, text, name) => {
    const button = html("button", { type: "button", "aria-label": name, id: by < 0 ? "earlier" : "later" }, text);
    button.addEventListener("click", () => choose(Number(slider.value) + by));
    return button;
  };
  return html("div", { class: "stepper" }, html("label", { for: "visit" }, html("b", {}, patient.id), META.simulated ? " (simulated)" : "", ", seen from ", html("strong", { id: "which" }, visitWords(patient, chosen)), patient.now < last ? html("span", { class: "keys" }, ` · opened at the last visit before ${META.primary ? eventName(META.primary) : "the event"}`) : null), html("div", { class: "slide" }, step(-1, "‹", "Earlier visit"), slider, step(1, "›", "Later visit")));
}

const visitWords = (patient, index) => `visit ${index + 1} of ${patient.visit.length}, day ${patient.day[index]}`;

// Everything that depends on the visit.
function visitView(patient, chosen, width, choose) {
  const half = width > 760 ? (width - 40) / 2 : width;
  return [
    html("p", { class: "verdict", id: "words" }, summaryWords(patient, chosen)),
    tiles(patient, chosen),
    META.hasBand ? html("p", { class: "hint" }, "That the models agree says nothing of how far they are right: it is no confidence interval.") : null,
    html("p", { class: "after" }, html("b", {}, "What is known of the outcome, in hindsight: "), statusWords(patient), patient.observed ? `; response recorded: ${patient.observed}` : "", ". ", patient.status[0] === 3 ? "" : "The models behind these figures never saw it."),
    html("section", {}, html("h2", {}, "Course"), html("p", { class: "hint" }, "The dark line is the chosen visit; what lies right of it, in the pale part, was not known then. Click or tap in the chart to choose a visit.", META.hasAlerts ? ` A triangle marks an alert; it counts for ${META.alertDays} days, in which no further one is raised, and none is raised at the first visit${META.alertsNote ? ` (${META.alertsNote})` : ""}.` : "", patient.dna.length ? " A hollow drop is blood in which ctDNA was not measured." : ""), html("div", { class: "wide" }, courseChart(patient, chosen, width, choose))),
    html("section", {}, html("h2", {}, "Outlook after this visit"), html("p", { class: "hint" }, outlookHint()),
      html("div", { class: width > 760 ? "pair two" : "pair" }, META.tasks.map(([task, name]) => html("figure", {}, html("h3", {}, name[0].toUpperCase() + name.slice(1)), patient.curve[task]?.[chosen] ? curveChart(patient, chosen, task, half) : html("p", { class: "note" }, goneWords(patient, task, chosen)), html("figcaption", {}, curveWords(patient, chosen, task)))))),
    META.hasReasons ? html("section", {}, html("h2", {}, "Why"), reasonsView(patient, chosen, half, width > 760 ? "pair two" : "pair")) : null,
    html("section", {}, html("h2", {}, "What was measured"), sampledTable(patient, chosen), outsideView(patient)),
    html("section", {}, html("h2", {}, "All visits"), visitTable(patient, chosen), patient.dna.length ? html("p", { class: "foot" }, `${META.dna}: fall since the last sample on or before day 0 (baseline). No call: no baseline sample in which tumour DNA was found.`) : null, coherenceWords(patient), html("p", { class: "foot swipe" }, "The table is wider than the page: scroll it sideways."), valuesTable(patient)),
  ];
}

function goneWords(patient, task, chosen) {
  const end = patient.ends[task];
  return known(end) && end[1] && end[0] <= patient.day[chosen] ? `Not predicted: ${eventName(task)} came on day ${end[0]}, by this visit.` : "No prediction at this visit.";
}

function outlookHint() {
  const band = META.hasBand ? `Band: from the lowest to the highest curve of the ${answering()} whose mean is drawn. It shows how far they agree, and is no confidence interval. ` : "No band is drawn: one model answers, or the run kept no more than the mean. ";
  const bound = META.hasBounds ? "Dashed upright line: the lower limit named below the curve. " : "";
  return `The chance of being free of the event, in the days after the chosen visit (blue), and as it was seen at the visit before and at the first one (grey). ${band}${bound}A curve stops at the last event that training patients had so long after a visit: what comes later is not known.`;
}

// How far the models that answer agree.
const answering = () => (META.heldOut ? `${META.members * Math.max(1, META.repeats)} models` : "models");
const modelsWords = (low, high) => (percent(low) === percent(high) ? `all ${answering()}: ${percent(low)}` : `${answering()}: ${percent(low)} to ${percent(high)}`);

function curveWords(patient, chosen, task) {
  const [low, high] = rangeOf(patient, task, chosen);
  const range = (i) => (low && known(low[i]) ? ` (${modelsWords(low[i], high[i])})` : "");
  const said = META.horizons.map((horizon, k) => (known(patient.risk[task][k][chosen]) ? `${percent(META.parts - patient.risk[task][k][chosen])} without ${eventName(task)} at ${horizon} days${range(META.times.indexOf(horizon))}` : null)).filter(known);
  const bound = patient.bounds[task]?.[chosen];
  return said.join(", ") + (said.length ? "." : "") + (known(bound) ? ` Lower limit (dashed): ${Math.round(bound)} days without ${eventName(task)}; about ${Math.round(META.boundsLevel * 100)}\u00a0% of limits made in this way hold. It is not when to expect it.` : "");
}

// The chosen visit in two or three sentences.
function summaryWords(patient, chosen) {
  const task = META.primary, words = [`After ${visitWords(patient, chosen)}: `];
  const [first, second] = task ? [0, 1].map((k) => patient.risk[task][k][chosen]) : [null, null];
  if (known(first) || known(second)) {
    const moved = chosen ? [0, 1].map((k) => change(patient.risk[task][k][chosen], patient.risk[task][k][chosen - 1])?.words).filter(known) : [];
    const both = moved.length > 1 && moved[0] === moved[1] ? `both ${moved[0]}` : moved.join(" and ");
    words.push(`predicted risk of ${eventName(task)} is `, known(first) ? html("b", {}, `${percent(first)} within ${META.horizons[0]} days`) : "", known(first) && known(second) ? " and " : "", known(second) ? html("b", {}, `${percent(second)} within ${META.horizons[1]} days`) : "", both ? ` (${both} since the visit before)` : "", ". ");
  } else if (task) words.push(goneWords(patient, task, chosen), " ");
  const dna = dnaAt(patient, chosen);
  const before = dna && patient.dna.filter((point) => point[4] < dna[4]).at(-1);
  if (dna) words.push(dna[4] === patient.visit[chosen] ? `${META.dna} at this visit: ` : `${META.dna}, last drawn on day ${dna[0]}: `, dnaValue(dna), before ? `; on day ${before[0]}: ${dnaValue(before)}` : "", ...(dna[5] === "baseline" ? [", the value before treatment. "] : dna[5] === "no call" ? [". "] : [`${before ? ";" : ","} ${dna[5] === "clearance" ? "cleared" : CALL_SHORT[dna[5]]} against baseline`, riseWords(dna, patient) ? html("b", {}, ` but ${riseWords(dna, patient)}`) : "", ". "]));
  const scan = scanAt(patient, chosen);
  if (scan) words.push(`Last scan (day ${scan[0]}${META.modalities.includes("lesions") ? "" : ", not read by the models"}): ${scan[1]} mm${scan[3] ? `, ${scan[3]}` : ""}`, growthWords(patient, scan) ? [", ", html("b", {}, growthWords(patient, scan))] : "", ".");
  const alarm = alarmAt(patient, chosen);
  if (known(alarm)) words.push(" ", html("strong", { class: "worse" }, alarm === patient.day[chosen] ? "The alert is raised at this visit." : `An alert is up: raised on day ${alarm}, it counts until day ${alarm + META.alertDays}.`));
  else if (patient.alerts.some(known)) words.push(known(lastAlarm(patient, chosen)) ? ` No alert now: the last one, raised on day ${lastAlarm(patient, chosen)}, ended on day ${lastAlarm(patient, chosen) + META.alertDays}.` : " No alert so far.");
  const treated = patient.treated.filter(([, start, end]) => start <= patient.day[chosen] && (!known(end) || end > patient.day[chosen]));
  if (treated.length) words.push(` On treatment: ${treated.map(([name, start]) => `${name} since day ${start}`).join(", ")}.`);
  const lacking = lackingAt(patient, chosen);
  if (lacking.length) words.push(` Not measured so far: ${lacking.join(", ")}.`);
  return words;
}

function tiles(patient, chosen) {
  const shown = [];
  for (const task of META.tasks.map(([key]) => key)) {
    META.horizons.forEach((horizon, k) => {
      if (task !== META.primary && k === 0) return;
      const risk = patient.risk[task][k][chosen];
      if (!known(risk)) return;
      const moved = chosen ? change(risk, patient.risk[task][k][chosen - 1]) : null;
      const line = task === META.primary && k === 0 ? patient.alerts[chosen]?.[1] : null, above = known(line) && risk >= line;
      const [low, high] = rangeOf(patient, task, chosen), at = META.times.indexOf(horizon);
      const models = low && known(low[at]) ? modelsWords(META.parts - high[at], META.parts - low[at]) : "";
      shown.push([`risk of ${eventName(task)} within ${horizon} days`, above ? html("span", { class: "worse" }, percent(risk)) : percent(risk), [models ? [models, html("br")] : null, moved ? html("span", { class: moved.kind }, `${moved.sign} ${moved.words} since the visit before`) : chosen ? "" : "first visit", known(line) ? [html("br"), `${above ? "above" : "below"} the alert line of ${percent(line)}`] : null]]);
    });
  }
  const response = patient.response[chosen] ?? patient.response.filter(known).at(-1);
  const from = known(patient.response[chosen]) ? chosen : patient.response.findLastIndex(known);
  const set = patient.sets[from];
  if (known(response)) shown.push([from === chosen ? "predicted probability of response (CR or PR)" : `response (CR or PR), as forecast on day ${patient.day[from]}, before the first scan on treatment`, percent(response), [known(set) ? [`at ${Math.round(META.boundsLevel * 100)}\u00a0% certainty: `, html("b", {}, SETS[set]), setWords(set, response)] : null, from === chosen ? "; first scan on treatment not yet seen" : null]]);
  const dna = dnaAt(patient, chosen);
  const rise = riseWords(dna, patient), call = dna && (dna[5] === "baseline" ? "not known yet" : CALL_SHORT[dna[5]]);
  // A rise comes first: the fall against baseline that still stands would be read as good news.
  if (dna) shown.push([`molecular response (blood of day ${dna[0]})`, rise ? html("span", { class: "worse" }, "rising again") : call, [dna[5] === "baseline" ? "before treatment: " : "", `${META.dna} ${dnaValue(dna)}`, rise ? `, ${rise}; against baseline: ${call}` : ""]]);
  return html("ul", { class: "tiles small" }, shown.map(([name, value, beside]) => html("li", {}, html("span", { class: "label" }, name), html("span", { class: "value" }, value), html("span", { class: "beside" }, beside))));
}

const FEATURES = { change_first: "change since first", change_previous: "change since last", above_nadir: "above its lowest", nadir: "lowest so far", since_nadir: "time since lowest" };

// Where a measurement is from, for assays whose name does not say it.
const SOURCES = { clinical: "before treatment", lesions: "scans" };

// A feature in words: `ldh:change_first` of labs is "LDH, change since first (labs)".
function featureName(assay, feature) {
  if (feature === `(${assay})`) return `${called(assay)}, all else`;
  if (feature.startsWith("interplay of ") || feature.endsWith(", high or low")) return assay.startsWith("expression") ? feature : `${feature} (${spaced(assay)})`; // genes speak for themselves
  const [name, ...rest] = feature.split(":");
  const kind = /^prototype(\d+)$/.exec(name), pc = /^pc(\d+)$/.exec(name);
  const known = kind ? `share of patches of kind ${kind[1]}` : pc ? `${assay === "histology" ? "unnamed image feature" : "component"} ${pc[1]}` : called(name);
  return `${[known, ...rest.map((kind) => (Object.hasOwn(FEATURES, kind) ? FEATURES[kind] : spaced(kind)))].join(", ")} (${Object.hasOwn(SOURCES, assay) ? SOURCES[assay] : spaced(assay)})`;
}

// Reasons of the first endpoint; those of other tasks folded away, so that the page stays readable.
function reasonsView(patient, chosen, width, shape) {
  const tasks = META.tasks.map(([task]) => task).concat(META.hasResponse ? ["response"] : []);
  const shown = tasks.map((task) => [task, reasonsOf(patient, chosen, task, width)]).filter(([, charts]) => charts.length);
  if (!shown.length) return html("p", { class: "note" }, "No reasons were computed for this visit. Whoever made the page can have them: explain.py with run= and this patient, or all patients.");
  const [[first, charts], ...others] = shown;
  return [
    html("p", { class: "hint" }, `How much each assay or measurement moved this prediction of ${first === "response" ? "response" : eventName(first)}, against what would be said if nothing were known of the patient. All bars are on one scale, that of the logarithm of the ${first === "response" ? "odds" : "hazard"}: +0.7 doubles it, −0.7 halves it, and within one chart effects add up. Only the largest are shown; single measurements of an assay may be larger than the assay, where they work against one another. The bars explain the model; they prove no cause.`),
    html("div", { class: shape }, charts),
    others.map(([task, each]) => html("details", {}, html("summary", {}, `Why: ${task === "response" ? "response" : taskName(task)}`), html("div", { class: shape }, each))),
  ];
}

function reasonsOf(patient, chosen, task, width) {
  const what = task === "response" ? "the probability of response" : `the risk of ${eventName(task)}`;
  const words = (name, value) => `${name} ${value > 0 ? "raise" : "lower"}${[NAMES.labs, NAMES.variants].includes(name) ? "" : "s"} ${what}`;
  const most = Math.max(...["reasons", "features", "steps"].flatMap((kind) => (patient[kind][task]?.[chosen] || []).map((each) => Math.abs(Array.isArray(each) ? each[1] : each))), 1e-9);
  const sized = (pairs) => [...pairs].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 8);
  const groups = [
    ["By assay", patient.reasons[task]?.[chosen]?.map((value, place) => [place, value]).filter(([, value]) => known(value)), (place) => called(META.reasonNames[place])],
    ["By gene, marker or other measurement", patient.features[task]?.[chosen], (place) => featureName(...META.features[place])],
    ["What is new since the visit before", chosen ? patient.steps[task]?.[chosen] : null, (place) => (META.stepNames[place] === "time" ? "time that has passed" : called(META.stepNames[place]))],
  ];
  const charts = groups.filter(([, pairs]) => pairs && pairs.length).map(([title, pairs, names]) => {
    const top = sized(pairs);
    return html("figure", {}, html("h3", {}, title), reasonBars(top.map(([place, value]) => [names(place), value, words(names(place), value)]), most, width), html("figcaption", {}, mostWords(title.startsWith("What is new") ? "Since the visit before" : "", names(top[0][0]), top[0][1], words)));
  });
  return [...charts, ...patient.slides.filter((slide) => slide.visit <= patient.visit[chosen] && slide.task[task]).map((slide) => slideView(patient, slide, task, what, width))];
}

// The largest bar in words, and that it is small where it is: a change of less than a tenth is no news.
function mostWords(since, name, value, words) {
  if (Math.abs(value) < Math.log(1.1)) return `${since ? `${since}, nothing` : "Nothing"} of note: the largest, ${name}, is a factor of ${Math.exp(value).toFixed(2)}.`;
  return `${since ? `${since}, most` : "Most"} of all: ${words(name, value)} (a factor of ${Math.exp(value).toFixed(2)}).`;
}

function slideView(patient, slide, task, what, width) {
  const day = patient.day[patient.visit.indexOf(slide.visit)];
  return html("figure", {}, html("h3", {}, "Slide, patch by patch"),
    html("p", { class: "key" }, html("i", { class: "raises" }), ` raises ${what} `, html("i", { class: "lowers" }), " lowers it"),
    slideChart(slide, task, Math.min(width, 440), `Slide ${slide.id}: what each patch adds to ${what}`),
    html("figcaption", {}, `Slide ${slide.id}, as read on day ${known(day) ? day : "–"}: a square is a patch where it lies, its colour the answer with the patch against that without it; the strongest colour is an effect of ${slide.task[task].limit}, on the scale of the bars.${slide.every > 1 ? ` One of ${slide.every} patches is drawn.` : ""}`));
}

const scrolled = (name, table) => html("div", { class: "scroll", role: "region", "aria-label": name, tabindex: "0" }, table);

// Assays without a sample by a visit, in words.
const lackingAt = (patient, index) => META.modalities.filter((_, i) => patient.sampled[i][index] === 0).map(called);

// Assays whose last sample is more than half a year old.
function oldWords(patient, index) {
  const last = META.modalities.map((name, i) => [called(name), patient.day[patient.sampled[i].slice(0, index + 1).lastIndexOf(2)]]);
  const old = last.filter(([, day]) => known(day) && patient.day[index] - day > 182);
  return old.length ? ` Sampled half a year ago or longer: ${old.map(([name, day]) => `${name} (visit of day ${day})`).join(", ")}.` : "";
}

// Which assay had a new sample at which visit.
function sampledTable(patient, chosen) {
  if (!META.modalities.length) return html("p", { class: "note" }, "Which assays were there is not told by the tables of this page.");
  const lacking = lackingAt(patient, chosen);
  const text = [["–", "never measured so far"], ["→", "known from an earlier visit"], ["●", "new at this visit"]];
  return [
    html("p", {}, lacking.length ? `Missing up to this visit: ${lacking.join(", ")}. The prediction is made without.` : "Every assay of the run is known by this visit.", oldWords(patient, chosen)),
    scrolled("Assays by visit", html("table", { class: "grid" }, html("caption", { class: "hidden" }, "Assays by visit"),
      html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "assay; day of visit"), patient.day.map((day, i) => html("th", { scope: "col", class: i === chosen ? "picked" : null }, day)))),
      html("tbody", {}, META.modalities.map((name, i) => html("tr", {}, html("th", { scope: "row" }, called(name)), patient.sampled[i].map((state, visit) => html("td", { class: `state${state}${visit === chosen ? " picked" : ""}` }, html("span", { "aria-hidden": "true" }, text[state][0]), html("span", { class: "hidden" }, text[state][1])))))))),
    html("p", { class: "foot" }, "● new sample at this visit   → known from an earlier visit   – never measured so far"),
  ];
}

function outsideView(patient) {
  const found = patient.outside;
  if (!found) return html("p", { class: "note" }, "How far this patient is outside the range of the training patients is not known.");
  const out = found.out.map(([name, value, unit, low, high, there]) => `${called(name.split(":").at(-1))}${name.includes(":") ? ` (${name.split(":")[0]}, first visit)` : ""} ${known(value) ? value : ""}${unit ? ` ${unit}` : ""}, training ${low} to ${high}${there ? ` ${there}` : ""}`);
  return html("div", { class: "outside" }, html("h3", {}, "Like the patients that the models learned from?"),
    html("p", {}, html("b", {}, `${found.out.length} of ${found.of}`), ` baseline numbers and first blood values (${found.of ? Math.round((100 * found.out.length) / found.of) : 0}\u00a0%) lie outside the range that holds the middle 98\u00a0% of training patients`, out.length ? ":" : ".", " ", found.out.length > 2 ? "The prediction leans on few patients like this one." : ""),
    out.length ? html("ul", {}, out.map((text) => html("li", {}, text))) : null,
    found.new.length ? html("p", {}, `Hardly seen in training: the value of ${found.new.map(called).join(", ")}.`) : null,
    found.combination === false ? html("p", {}, "Fewer than five training patients had this set of assays at the first visit.") : null,
    META.heldOut ? html("p", { class: "foot" }, "The range is that of the whole cohort of the run.") : null);
}

// Endpoints are predicted one by one, so death alone may come out as likelier than progression or death.
function coherenceWords(patient) {
  const death = patient.risk.os || patient.risk.death, both = patient.risk.pfs;
  const crossed = death && both && death.some((column, k) => column.some((risk, i) => known(risk) && known(both[k][i]) && Math.round((risk * 100) / META.parts) > Math.round((both[k][i] * 100) / META.parts)));
  return crossed ? html("p", { class: "foot" }, "The endpoints are predicted one by one. Where death is given a higher risk than progression or death together, which cannot be, read the two as about the same.") : null;
}

// Every figure of every visit.
function visitTable(patient, chosen) {
  const heads = ["visit", "day"], cells = [(i) => i + 1, (i) => patient.day[i]];
  for (const [task, , short] of META.tasks) META.horizons.forEach((horizon, k) => { heads.push(`${short} risk ${horizon} d`); cells.push((i) => percent(patient.risk[task][k][i])); });
  if (META.hasResponse) { heads.push("predicted response"); cells.push((i) => percent(patient.response[i])); }
  if (META.hasResponse && META.hasSets) { heads.push(`response at ${Math.round(META.boundsLevel * 100)} %`); cells.push((i) => (known(patient.response[i]) && known(patient.sets[i]) ? ["neither", "no", "yes", "cannot tell"][patient.sets[i]] : "–")); }
  if (patient.dna.length) {
    const mine = (i) => patient.dna.filter((point) => point[4] === patient.visit[i]).at(-1);
    heads.push(META.dna, "molecular response", "times lowest so far");
    cells.push((i) => dnaValue(mine(i)), (i) => (mine(i) ? `${CALL_SHORT[mine(i)[5]]}${known(mine(i)[6]) && mine(i)[5] !== "rise" ? ` (${mine(i)[5] === "clearance" ? "at least " : ""}−${Math.floor(mine(i)[6] * 100)} %)` : ""}` : "–"), (i) => (mine(i) && known(mine(i)[7]) ? (mine(i)[7] < 1 ? "new lowest" : `×${mine(i)[7]}`) : "–"));
  }
  if (patient.scans.length) { heads.push("last scan"); cells.push((i) => { const scan = scanAt(patient, i); return scan ? `day ${scan[0]}: ${scan[1]} mm${scan[3] ? `, ${scan[3]}` : ""}` : "–"; }); }
  if (META.hasBounds) for (const [task, , short] of META.tasks) { heads.push(`${short} bound, days`); cells.push((i) => number(known(patient.bounds[task]?.[i]) ? Math.floor(patient.bounds[task][i]) : null)); }
  if (META.hasAlerts) { heads.push("alert"); cells.push((i) => (known(patient.alerts[i]) ? (patient.alerts[i][0] ? "raised" : "no") : "–")); }
  return scrolled("All visits", html("table", { class: "visits" }, html("caption", { class: "hidden" }, "All visits"), html("thead", {}, html("tr", {}, heads.map((head) => html("th", { scope: "col" }, head)))),
    html("tbody", {}, patient.day.map((_, i) => html("tr", { class: i === chosen ? "picked" : null }, cells.map((cell) => html("td", {}, cell(i))))))));
}

// All blood values, a row per draw.
function valuesTable(patient) {
  if (!patient.markers.length) return null;
  const days = [...new Set(patient.markers.flatMap(([, , points]) => points.map(([day]) => day)))].sort((a, b) => a - b);
  return html("details", {}, html("summary", {}, "All blood values"), scrolled("All blood values", html("table", {}, html("caption", { class: "hidden" }, "All blood values"),
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "day of draw"), patient.markers.map(([name, unit]) => html("th", { scope: "col" }, called(name), unit ? ` (${unit})` : "")))),
    html("tbody", {}, days.map((day) => html("tr", {}, html("td", {}, day), patient.markers.map(([, , points]) => html("td", {}, number(points.filter(([other]) => other === day).at(-1)?.[1])))))))));
}
