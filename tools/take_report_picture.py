"""Write docs/images/report.png anew, from the page of `remask report` that is named."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "report.png"
WIDTH, HEIGHT = 1120, 1290  # down to the end of the first two parts


def take_report_picture(browser: Browser, page: Path, *, out: Path = PICTURE) -> None:
    """Write a picture of the upper part of the report at `page`."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    tab.goto(page.absolute().as_uri())
    tab.screenshot(path=out)
    tab.close()


def main() -> None:
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take_report_picture(browser, Path(sys.argv[1]))
        browser.close()
    print(f"wrote {PICTURE.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
