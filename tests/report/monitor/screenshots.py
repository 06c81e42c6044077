"""Takes the pictures of the guide anew (`make images`): python tests/report/monitor/screenshots.py PAGE docs/img."""

import base64
import shutil
import sys
from pathlib import Path
from typing import Any

from selenium import webdriver

#: Name, view, width, height in CSS pixels.
PICTURES = (
    ("monitor_cohort", "", 1280, 900),
    ("monitor_patient", "#p=3", 1280, 1540),
    ("monitor_outlook", "#p=3", 1280, 900),
    ("monitor_why", "#p=3", 1280, 900),
    ("monitor_phone", "#p=3", 390, 1500),
    ("monitor_phone_cohort", "", 390, 900),
)
#: Section of the patient's page that a picture begins with, of those below the chosen visit.
SECTIONS = {"monitor_outlook": 1, "monitor_why": 2}


def browser() -> Any:
    """A headless Chromium that reaches nothing."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        raise SystemExit(
            "the pictures need chromium and chromedriver on the PATH (Debian: apt-get install chromium-driver)"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def take(page: Path, out: Path) -> None:
    """Write the pictures of a page."""
    driver = browser()
    try:
        for name, view, width, height in PICTURES:
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.get("about:blank")
            driver.get(page.resolve().as_uri() + view)
            if name in SECTIONS:
                driver.execute_script(f"document.querySelectorAll('#at section')[{SECTIONS[name]}].scrollIntoView()")
            shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
            (out / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    finally:
        driver.quit()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
