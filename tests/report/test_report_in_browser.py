"""The page in a real browser: quiet console, no request, no overflow, inert texts, sorting and toggles that work."""

from pathlib import Path
from typing import Any

import pytest
from chromium import IN_BROWSER, open_at

pytestmark = IN_BROWSER


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["complete_page", "hostile_page"])
def test_quiet_alone_and_as_wide_as_the_window(
    browser: Any, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    page: Path = request.getfixturevalue(name)
    open_at(browser, page, width)
    assert browser.get_log("browser") == []
    log = "".join(entry["message"] for entry in browser.get_log("performance"))
    assert page.as_uri() in log  # the log does record requests
    assert "http://" not in log.replace("http://www.w3.org", "")
    assert "https://" not in log
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return window.pwned") is None
    wide = "return [...document.querySelectorAll('figure, p, ul, dl, h1, h2, .scroll')].filter(\
        (e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"
    assert browser.execute_script(wide) == []


def test_no_text_in_a_figure_is_smaller_than_nine_pixels_on_a_phone(browser: Any, complete_page: Path) -> None:
    open_at(browser, complete_page, 390)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('svg')].flatMap((svg) => {"
        "const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;"
        "return [...svg.querySelectorAll('text')].map((t) => parseFloat(getComputedStyle(t).fontSize) * scale)})"
    )
    assert len(sizes) > 100
    assert min(sizes) >= 9


def test_scores_sort_by_a_column_with_the_keyboard(browser: Any, complete_page: Path) -> None:
    open_at(browser, complete_page, 1280)
    read = (
        "return [...document.querySelector('table.sortable').tBodies[0].rows].map((row) => row.cells[1].dataset.order)"
        ".filter((order) => order !== undefined).map(Number)"
    )
    before = browser.execute_script(read)
    button = browser.find_element("css selector", "table.sortable th button")
    button.send_keys("\ue007")
    assert browser.execute_script(read) == sorted(before, reverse=True)
    button.send_keys("\ue007")
    assert browser.execute_script(read) == sorted(before)
    button.send_keys("\ue007")
    assert browser.execute_script(read) == before


def test_a_model_can_be_hidden_in_tables_and_figures(browser: Any, complete_page: Path) -> None:
    open_at(browser, complete_page, 1280)
    parts = "[...document.querySelectorAll('[data-model=fusion]')]"
    seen = f"return {parts}.filter((part) => part.getClientRects().length).length"
    everywhere = browser.execute_script(seen)
    in_figures = browser.execute_script("return document.querySelectorAll('svg [data-model=fusion]').length")
    assert in_figures >= 8  # a line, its interval and its name, in four figures
    box = browser.find_element("css selector", ".toggles input[value=fusion]")
    box.send_keys(" ")
    assert browser.execute_script(seen) == 0
    box.send_keys(" ")
    assert browser.execute_script(seen) == everywhere


def test_every_table_is_whole_without_scripts(browser: Any, complete_page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_at(browser, complete_page, 1280)
        assert not browser.find_element("css selector", ".toggles").is_displayed()
        assert len(browser.find_elements("css selector", "#scores tbody tr")) > 10
        assert browser.find_element("css selector", "#scores tbody tr").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
