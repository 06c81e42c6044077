"""The patient pages in a real browser: quiet, alone, as wide as the window, usable by keyboard, texts inert, quick."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chromium import IN_BROWSER, open_at
from patients_by_hand import HOSTILE, whole

from fusion.report.monitor import write_monitor

pytestmark = IN_BROWSER

ENTER, ESCAPE, LEFT, TAB = "\ue007", "\ue00c", "\ue012", "\ue004"


def js(browser: Any, code: str) -> Any:
    return browser.execute_script(f"return {code}")


def text_of(browser: Any, key: str) -> str:
    return str(js(browser, f"document.getElementById('{key}').textContent"))


def change(browser: Any, key: str, value: str, event: str) -> None:
    code = "const each = document.getElementById(arguments[0]); each.value = arguments[1];\
        each.dispatchEvent(new Event(arguments[2]))"
    browser.execute_script(code, key, value, event)


def press(browser: Any, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["whole", "hostile", "bare", "blank"])
def test_quiet_alone_and_as_wide_as_the_window(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    page = pages[name]
    for view in ("", "#p=0"):
        open_at(browser, page, width, view)
        assert text_of(browser, "title").startswith("Patient")
        # Every visit is drawn.
        for _ in range(js(browser, "Number(document.getElementById('visit')?.max ?? 0)")):
            js(browser, "document.getElementById('earlier').click()")
        assert browser.get_log("browser") == []
        log = "".join(entry["message"] for entry in browser.get_log("performance"))
        assert page.as_uri() in log  # the log does record requests
        assert "http://" not in log.replace("http://www.w3.org", "")
        assert "https://" not in log
        assert js(browser, "performance.getEntriesByType('resource').length") == 0
        assert js(browser, "document.documentElement.scrollWidth") <= width
        assert js(browser, "window.pwned") is None
        assert "NaN" not in js(browser, "document.getElementById('view').outerHTML")
        assert "undefined" not in js(browser, "document.getElementById('view').outerHTML")
        assert "Research use only" in js(browser, "document.querySelector('.banner').innerText")
        small = "Math.min(12, ...[...document.querySelectorAll('svg')].flatMap((svg) => {\
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;\
            return [...svg.querySelectorAll('text')].map((t) => parseFloat(getComputedStyle(t).fontSize) * scale)}))"
        assert js(browser, small) >= 9


def test_texts_of_the_data_are_shown_and_not_read(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["hostile"], 1280)
    shown = js(browser, "[...document.querySelectorAll('#patients tbody th')].map((cell) => cell.textContent)")
    assert sorted(shown) == sorted(HOSTILE)
    assert js(browser, "document.querySelectorAll('img, #view script').length") == 0


def test_patients_are_found_filtered_and_sorted(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280)
    rows = "[...document.querySelectorAll('#patients tbody th')].map((cell) => cell.textContent)"
    assert js(browser, rows) == ["B2", "C3", "A1"], "by risk, the one who has progressed last"
    assert "3 of 3" in text_of(browser, "count")
    browser.find_element("id", "find").send_keys("b2")
    assert js(browser, rows) == ["B2"]
    assert "1 of 3" in text_of(browser, "count")
    change(browser, "find", "", "input")
    for key, value, left in (
        ("stage", "LS", ["B2"]),
        ("site", "S0", ["C3", "A1"]),
        ("alert", "1", ["A1"]),
        ("status", "1", ["A1"]),
    ):
        change(browser, f"by-{key}", value, "change")
        assert js(browser, rows) == left
        change(browser, f"by-{key}", "", "change")
    head = browser.find_element("css selector", "th[data-key=id] button")
    head.send_keys(ENTER)
    assert js(browser, rows) == ["A1", "B2", "C3"]
    assert js(browser, "document.querySelector('th[data-key=id]').getAttribute('aria-sort')") == "ascending"
    head.send_keys(ENTER)
    assert js(browser, rows) == ["C3", "B2", "A1"]


def test_keyboard_opens_steps_and_returns(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280)
    for _ in range(40):
        press(browser, TAB)
        if js(browser, "document.activeElement.textContent") == "A1":
            break
    assert js(browser, "getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is seen"
    press(browser, ENTER)
    assert text_of(browser, "title") == "Patient A1"
    assert js(browser, "document.activeElement.id") == "title"
    assert "visit 3 of 4, day 42" in text_of(browser, "which"), "the last before the event"
    press(browser, LEFT)
    assert "visit 2 of 4, day 21" in text_of(browser, "which")
    slider = browser.find_element("id", "visit")
    slider.send_keys(LEFT)
    assert "visit 1 of 4, day 0" in text_of(browser, "which")
    assert slider.get_attribute("aria-valuetext") == "visit 1 of 4, day 0"
    slider.send_keys(LEFT)
    assert "visit 1 of 4" in text_of(browser, "words")
    press(browser, ESCAPE)
    assert js(browser, "document.activeElement.textContent") == "A1", "back where one was"


def test_the_visit_says_what_the_tables_say(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280, "#p=0")
    words = text_of(browser, "words").replace("\u00a0", " ")
    assert "cleared against baseline" in words
    assert "Last scan (day 42, not read by the models): 60 mm, PR" in words
    assert "The alert is raised at this visit." in words
    shown = js(browser, "document.getElementById('at').textContent")
    assert "plasma ctDNA raises the risk of progression or death" in shown
    assert "Lower limit (dashed): 50 days" in shown
    assert "raises the risk of progression or death  lowers it" in shown
    assert "time that has passed" in shown
    assert "A1, seen from visit 3 of 4" in js(browser, "document.querySelector('.stepper').textContent")
    js(browser, "document.getElementById('later').click()")
    assert "progression or death came on day 60" in text_of(browser, "words")


def test_a_change_of_less_than_a_tenth_is_no_news(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280)
    said = [
        js(browser, f"mostWords('Since then', 'LDH', {value}, () => 'LDH did')") for value in (0.04, -0.09, 0.2, -0.7)
    ]
    assert said == [
        "Since then, nothing of note: the largest, LDH, is a factor of 1.04.",
        "Since then, nothing of note: the largest, LDH, is a factor of 0.91.",
        "Since then, most of all: LDH did (a factor of 1.22).",
        "Since then, most of all: LDH did (a factor of 0.50).",
    ]


def test_a_death_likelier_than_progression_or_death_is_owned_up_to(browser: Any, tmp_path: Path) -> None:
    tables, said = whole({"A": [0.0, 30.0]}), []
    for names in ({}, {"os": "pfs", "pfs": "os"}):
        swapped = tables.predictions.assign(task=tables.predictions["task"].replace(names))
        page = write_monitor(replace(tables, predictions=swapped, outcomes=None), tmp_path / "crossed.html")
        open_at(browser, page, 1280, "#p=0")
        said.append("which cannot be" in js(browser, "document.getElementById('at').textContent"))
    assert said == [False, True]


def test_treatments_are_bars_with_their_names_and_told_while_they_last(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280, "#p=0")
    bars = js(
        browser,
        "[...document.querySelectorAll('.treatment')].map((b) => [b.x, b.y, b.width].map((v) => v.baseVal.value))",
    )
    (first, top, width), (second, below, length) = bars
    assert first < second < first + width < second + length  # side by side in time, so on two lines
    assert below > top
    js(browser, "document.getElementById('later').click()")
    told = []
    for _ in range(4):
        told.append(text_of(browser, "words").partition("On treatment: ")[2].partition(".")[0])
        js(browser, "document.getElementById('earlier').click()")
    both = "chemotherapy since day 0, <b>drug</b> since day 20"
    assert told == ["<b>drug</b> since day 20", both, both, "chemotherapy since day 0"]


def test_the_names_of_features_are_words(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280)
    asked = (
        "interplay of A/B and chr1:2-3/C",
        "A/B, high or low",
        "(expression)",
        "prototype5",
        "pc3",
        "ldh:change_first",
    )
    names = [browser.execute_script("return featureName('expression', arguments[0])", name) for name in asked]
    assert [name.removesuffix(" (expression)") for name in names] == [
        "interplay of A/B and chr1:2-3/C",
        "A/B, high or low",
        "tumour expression, all else",
        "share of patches of kind 5",
        "component 3",
        "LDH, change since first",
    ]


def test_an_alarm_stays_up_while_further_ones_are_silent(browser: Any, tmp_path: Path) -> None:
    tables = whole({"A": [0.0, 30.0, 60.0, 200.0]})
    assert tables.alerts is not None
    once = tables.alerts.assign(alarm=tables.alerts["visit"] == 1)
    outcomes = pd.DataFrame({"pfs_days": [400.0], "pfs_event": [0]}, index=["A"])
    page = write_monitor(replace(tables, alerts=once, outcomes=outcomes), tmp_path / "alarm.html")
    open_at(browser, page, 1280, "#p=0")
    said = []
    for _ in range(4):
        words = text_of(browser, "words").replace("\u00a0", " ")
        said.append(
            next((told for told in ("No alert", "raised on day 30", "raised at this visit") if told in words), words)
        )
        if "the last one" in words:
            said[-1] = "expired"
        js(browser, "document.getElementById('earlier').click()")
    assert said == ["expired", "raised on day 30", "raised at this visit", "No alert"]


def test_print_shows_the_open_patient_and_no_control(browser: Any, pages: dict[str, Path]) -> None:
    open_at(browser, pages["whole"], 1280, "#p=1")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        seen = "(selector) => document.querySelector(selector).getClientRects().length > 0"
        assert js(browser, f"({seen})('#title')")
        assert js(browser, f"({seen})('.banner')")
        assert not js(browser, f"({seen})('.slide')")
        assert not js(browser, f"({seen})('.back')")
        browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 20))")
        assert js(browser, "document.querySelector('.wide .chart').viewBox.baseVal.width") < 700, "drawn for paper"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_an_address_of_nobody_shows_all_patients(browser: Any, pages: dict[str, Path]) -> None:
    for view in ("#p=999", "#p=-1", "#x", "#p=0<img>"):
        open_at(browser, pages["whole"], 1280, view)
        browser.execute_async_script("setTimeout(arguments[0], 50)")
        assert js(browser, "document.querySelectorAll('#patients tbody tr').length") == 3
        assert browser.get_log("browser") == []


def test_a_patient_among_five_hundred_opens_at_once(browser: Any, tmp_path: Path) -> None:
    visits = {f"P-{i:04d}": [21.0 * v for v in range(12)] for i in range(20)}
    page = write_monitor(whole(visits), tmp_path / "many.html")
    open_at(browser, page, 1280)
    # The same patients over and over: what the browser has to show is what counts.
    browser.execute_script("while (ROWS.length < 500) ROWS.push(...ROWS.slice(0, 20)); fillRows()")
    took = browser.execute_script(
        "const start = performance.now(); showPatient(7); document.body.offsetHeight; return performance.now() - start"
    )
    assert took < 2000, "a shared machine is slow; a desktop takes a tenth"
