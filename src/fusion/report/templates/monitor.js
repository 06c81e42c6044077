"use strict";
// The two views of the page: all patients, and one (#p=INDEX). The address says which; Escape and the back key return.

const DATA = JSON.parse(document.getElementById("data").textContent);
const META = DATA.meta, PATIENTS = DATA.patients;
const VIEW = document.getElementById("view"), SAID = document.getElementById("said");
const state = { sort: "second", down: true, text: "", stage: "", site: "", status: "", alert: "", last: null };

// What the table of patients shows of one.
function rowOf(patient, index) {
  const task = META.primary, at = patient.now;
  const risk = task ? [0, 1].map((k) => patient.risk[task][k][at]) : [null, null];
  const k = known(risk[1]) ? 1 : 0;
  const alarm = alarmAt(patient, at);
  return {
    index, patient, at,
    first: risk[0], second: risk[1],
    moved: task && at ? change(risk[k], patient.risk[task][k][at - 1]) : null,
    response: patient.response.filter(known).at(-1) ?? null,
    alarm: known(alarm) ? 1 : patient.alerts.some(known) ? 0 : null,
    alarmDay: alarm,
    alarmOver: lastAlarm(patient, at),
    assays: patient.sampled.filter((states) => states[at] > 0).length,
    names: META.modalities.filter((_, i) => patient.sampled[i][at] > 0).map(called),
    ended: patient.status[0] === 1 || patient.status[0] === 2,
  };
}
const ROWS = PATIENTS.map(rowOf);

const COLUMNS = [
  { key: "id", head: "Patient", value: (row) => row.patient.id },
  { key: "stage", head: "Stage", value: (row) => row.patient.stage, there: PATIENTS.some((each) => each.stage) },
  { key: "site", head: "Centre", value: (row) => row.patient.site, there: PATIENTS.some((each) => each.site) },
  { key: "day", head: "Seen from day", value: (row) => row.patient.day[row.at] },
  { key: "visits", head: "Visits", value: (row) => row.patient.visit.length },
  { key: "first", head: `Risk, ${META.horizons[0]} days`, value: (row) => row.first, there: Boolean(META.primary), bar: true },
  { key: "second", head: `Risk, ${META.horizons[1]} days`, value: (row) => row.second, there: Boolean(META.primary), bar: true },
  { key: "moved", head: `Change, ${META.horizons[1]} d`, value: (row) => (row.moved ? row.moved.points : null), there: Boolean(META.primary) },
  { key: "response", head: "Response, forecast before the first scan", value: (row) => row.response, there: META.hasResponse },
  { key: "alarm", head: "Alert", value: (row) => row.alarm, there: META.hasAlerts },
  { key: "assays", head: "Assays", value: (row) => row.assays, there: META.modalities.length > 0 },
  { key: "status", head: "Since then", value: (row) => statusWords(row.patient) },
].filter((column) => column.there !== false);
if (!COLUMNS.some((column) => column.key === state.sort)) Object.assign(state, { sort: "id", down: false });

// Rows that pass the filters, in order; those whose event has happened come last where the order is that of a risk.
function chosenRows() {
  const words = state.text.trim().toLowerCase();
  const rows = ROWS.filter(({ patient, alarm }) =>
    (!words || [patient.id, patient.stage, patient.site, statusWords(patient)].join(" ").toLowerCase().includes(words)) &&
    (!state.stage || patient.stage === state.stage) && (!state.site || patient.site === state.site) &&
    (!state.status || String(patient.status[0]) === state.status) && (!state.alert || String(alarm) === state.alert));
  const { value } = COLUMNS.find((column) => column.key === state.sort);
  const ofRisk = ["first", "second", "moved"].includes(state.sort);
  return rows.sort((a, b) => {
    if (ofRisk && a.ended !== b.ended) return a.ended - b.ended;
    const [left, right] = [value(a), value(b)];
    const blank = (each) => each === null || each === undefined || each === "";
    if (blank(left) || blank(right)) return blank(left) - blank(right) || a.index - b.index;
    const order = typeof left === "string" ? left.localeCompare(right, "en", { numeric: true }) : left - right;
    return (state.down ? -order : order) || a.index - b.index;
  });
}

function cellOf(column, row) {
  const value = column.value(row);
  if (column.key === "id") return html("th", { scope: "row" }, html("a", { href: `#p=${row.index}`, id: `row-${row.index}` }, row.patient.id || "(no id)"));
  if (column.bar) return html("td", { class: "risk", "data-head": column.head }, html("span", { class: "bar", "aria-hidden": "true" }, bar(value)), html("span", {}, percent(value)));
  if (column.key === "moved") return html("td", { class: row.moved ? row.moved.kind : null, "data-head": column.head }, row.moved ? [html("span", { "aria-hidden": "true" }, row.moved.sign, " ", row.moved.points ? `${Math.abs(row.moved.points)} ${Math.abs(row.moved.points) === 1 ? "pt" : "pts"}` : ""), html("span", { class: "hidden" }, row.moved.words)] : "–");
  if (column.key === "response") return html("td", { "data-head": column.head }, percent(value));
  if (column.key === "alarm") return html("td", { "data-head": column.head }, value ? html("strong", { class: "worse" }, "▲ raised day\u00a0", row.alarmDay) : known(value) ? (known(row.alarmOver) ? `over (raised day\u00a0${row.alarmOver})` : "no") : "–");
  if (column.key === "assays") return html("td", { title: row.names.join(", "), "data-head": column.head }, `${value} of ${META.modalities.length}`, html("span", { class: "names" }, row.names.join(", ")));
  return html("td", { class: typeof value === "string" ? "text" : null, "data-head": column.head }, known(value) && value !== "" ? value : "–");
}

function bar(value) {
  const full = html("i", {});
  full.style.width = `${known(value) ? (value / META.parts) * 100 : 0}%`;
  return full;
}

function cohortView() {
  const event = META.primary ? eventName(META.primary) : "";
  return [
    html("h1", { tabindex: "-1", id: "title" }, "Patients of ", META.cohort),
    html("p", { class: "kicker" }, META.simulated ? html("span", { class: "tag" }, "Simulated cohort") : null, META.run ? `run ${META.run}` : "", META.heldOut ? " · held-out predictions" : " · new patients"),
    META.primary ? html("p", {}, `Who is likely to have ${event} soon, as predicted at the last visit at which the patient was free of it (“seen from”). Change: percentage points since the visit before, red where the risk rose by 5 or more.${META.hasAlerts ? ` An alert counts for ${META.alertDays} days from the day it was raised, then it is over.` : ""} Patients whose event or death is on record are grey and come last: they were predicted before it.${META.hasResponse ? " Response: predicted chance of CR or PR, from before the first scan on treatment." : ""}`) : null,
    filters(),
    html("p", { id: "count", class: "count", role: "status" }),
    html("div", { class: "cohort" }, html("table", { id: "patients" }, html("caption", { class: "hidden" }, "Patients"), html("thead", {}, html("tr", {}, COLUMNS.map(headOf))), html("tbody", {}))),
  ];
}

function headOf(column) {
  const button = html("button", { type: "button" }, column.head);
  button.addEventListener("click", () => {
    Object.assign(state, state.sort === column.key ? { down: !state.down } : { sort: column.key, down: !["id", "stage", "site", "status"].includes(column.key) });
    fillRows();
  });
  return html("th", { scope: "col", "data-key": column.key }, button);
}

function filters() {
  const text = html("input", { type: "search", id: "find", autocomplete: "off", placeholder: "id, stage, centre, outcome" });
  text.value = state.text;
  text.addEventListener("input", () => { state.text = text.value; fillRows(); });
  const choice = (key, name, options) => {
    if (options.length < 2) return null;
    const select = html("select", { id: `by-${key}` }, html("option", { value: "" }, "all"), options.map(([value, words]) => html("option", { value }, words)));
    select.value = state[key];
    select.addEventListener("change", () => { state[key] = select.value; fillRows(); });
    return html("label", {}, `${name} `, select);
  };
  const values = (key) => [...new Set(PATIENTS.map((each) => each[key]).filter(Boolean))].sort().map((value) => [value, value]);
  const codes = [...new Set(PATIENTS.map((each) => each.status[0]))].sort();
  return html("form", { class: "filters", role: "search", onsubmit: null },
    html("label", {}, "Find ", text), choice("stage", "Stage", values("stage")), choice("site", "Centre", values("site")),
    choice("status", "Outcome", codes.map((code) => [String(code), ["no event known", META.primary === "os" ? "event" : "progressed", "died", "not known"][code]])),
    META.hasAlerts ? choice("alert", "Alert", [["1", "alert"], ["0", "no alert"]]) : null);
}

function fillRows() {
  const rows = chosenRows();
  document.querySelector("#patients tbody").replaceChildren(...rows.map((row) => html("tr", { class: row.ended ? "ended" : null }, COLUMNS.map((column) => cellOf(column, row)))));
  document.getElementById("count").textContent = `${rows.length} of ${PATIENTS.length} patients shown`;
  for (const head of document.querySelectorAll("#patients thead th")) {
    if (head.dataset.key === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function showCohort() {
  document.title = `${META.cohort}: patients`;
  VIEW.replaceChildren(...cohortView());
  VIEW.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  fillRows();
  shown = null;
  const back = state.last !== null && document.getElementById(`row-${state.last}`);
  if (back) back.focus();
}

let shown = null;

function showPatient(index) {
  const patient = PATIENTS[index];
  if (!patient) { location.hash = ""; return; }
  document.title = `${patient.id}: ${META.cohort}`;
  shown = { patient, chosen: patient.now };
  state.last = index;
  VIEW.replaceChildren(...patientView(patient, patient.now, choose).flat());
  drawVisit();
  window.scrollTo(0, 0);
  document.getElementById("title").focus({ preventScroll: true });
}

// Steps to a visit; one outside the patient's visits is ignored.
function choose(index) {
  if (!shown || !(index in shown.patient.visit)) return;
  shown.chosen = index;
  drawVisit();
  const words = visitWords(shown.patient, index), slider = document.getElementById("visit");
  slider.value = String(index);
  slider.setAttribute("aria-valuetext", words);
  document.getElementById("which").textContent = words;
  SAID.textContent = document.getElementById("words").textContent;
}

// A sheet of paper is narrower than a screen; drawn for it, text keeps its size.
const PAPER = 690;

function drawVisit(paper) {
  const width = paper ? PAPER : Math.max(300, Math.floor(VIEW.clientWidth));
  document.getElementById("at").replaceChildren(...visitView(shown.patient, shown.chosen, width, choose).flat(2).filter(Boolean));
  document.getElementById("earlier").disabled = shown.chosen === 0;
  document.getElementById("later").disabled = shown.chosen === shown.patient.visit.length - 1;
}

function route() {
  const found = /^#p=(\d+)$/.exec(location.hash);
  if (found) showPatient(Number(found[1]));
  else showCohort();
}

document.addEventListener("keydown", (event) => {
  if (!shown || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape") location.hash = "";
  const typing = event.target.closest("input, select, .scroll");
  if (!typing && event.key === "ArrowLeft") choose(shown.chosen - 1);
  if (!typing && event.key === "ArrowRight") choose(shown.chosen + 1);
});
window.addEventListener("hashchange", route);
const redraw = (paper) => { if (shown) drawVisit(paper); };
window.addEventListener("beforeprint", () => redraw(true));
window.addEventListener("afterprint", () => redraw(false));
window.matchMedia("print").addEventListener("change", (event) => redraw(event.matches));
let drawn = window.innerWidth;
window.addEventListener("resize", () => {
  if (shown && window.innerWidth !== drawn) { drawn = window.innerWidth; drawVisit(); }
});
route();
