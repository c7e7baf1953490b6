"""The gallery in a real browser: filtered, ordered and enlarged without anything being fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from remask_reports.gallery import GalleryColumn, GalleryMask, outline_path, write_gallery_page

COLUMNS = (
    GalleryColumn("predicted", "predicted IoU", "number", 2, filter=True, caption=1, short="p"),
    GalleryColumn("label", "class", filter=True, caption=2),
    GalleryColumn("image", "image"),
)
N = 1000


def masks() -> Iterator[GalleryMask]:
    """Discs; the better, the earlier; every tenth has no prediction."""
    rows, columns = np.mgrid[:32, :40]
    disc = (rows - 16) ** 2 + (columns - 20) ** 2 <= 81
    for number in range(N):
        yield GalleryMask(
            name=f"ins_{number}",
            picture=np.full((32, 40, 3), 90, np.uint8),
            mask=outline_path(disc, scale=1.0),
            truth=outline_path(disc, scale=1.0),
            box=(10, 6, 20, 20),
            clicks=((20.0, 16.0, True, 1), (2.0, 3.0, False, 2)),
            values=(
                None if number % 10 == 9 else 1 - number / N,
                ("cat", "<b>dog")[number % 2],
                f"/im{number}.jpg",
            ),
        )


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    out = tmp_path / "gallery.html"
    assert (
        write_gallery_page(
            out, masks(), title="Masks", columns=COLUMNS, first_order=("predicted", 1)
        )
        == N
    )
    asked: list[str] = []
    errors: list[object] = []
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(out.as_uri())
    yield page
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert errors == []


def test_masks_are_filtered_and_ordered_in_the_browser(page: Page) -> None:
    assert page.inner_text("#count") == "1,000 of 1,000 masks"
    # Numbers 9, 19, ... have none, and 998 is the last that has one.
    assert page.get_attribute(".cell", "title") == "ins_998"
    assert page.locator(".cell").count() < 200

    page.select_option("select[name=label]", "<b>dog")
    assert page.inner_text("#count") == "500 of 1,000 masks"
    page.fill("input[name=predicted-from]", "0.9")
    assert page.inner_text("#count") == "40 of 1,000 masks"
    page.select_option("#order", label="predicted IoU, highest first")
    assert page.get_attribute(".cell", "title") == "ins_1"
    assert page.inner_text(".cell >> nth=0").split("\n") == ["p 1.00", "<b>dog"]
    page.fill("input[type=search]", "im97.jpg")
    assert page.inner_text("#count") == "1 of 1,000 masks"


def test_whoever_scrolls_to_the_end_sees_the_last_masks(page: Page) -> None:
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(".cell[title=ins_999]")

    assert page.locator(".cell").count() < 200


def test_a_mask_is_enlarged_with_its_clicks_and_its_truth(page: Page) -> None:
    page.click(".cell >> nth=0")
    dialog = page.locator("#large")

    assert dialog.locator(".click").count() == 2
    assert dialog.locator(".truth").count() == dialog.locator(".box").count() == 1
    assert "ins_998" in dialog.inner_text()
    page.keyboard.press("ArrowRight")
    assert "ins_997" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
