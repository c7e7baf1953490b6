"""Write the pictures in docs/images anew, from the demo in a real browser."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from remask_campaigns.rounds.tasks import task_of
from remask_cli.demo.backend import default_model, start_backend
from remask_cli.demo.campaign import run_main_job
from remask_cli.demo.label_studio import (
    create_access_token,
    find_label_studio,
    log_in,
    start_label_studio,
)
from remask_cli.demo.photos import ANNOTATIONS, FILES_ROOT, FOLDER, Photo
from remask_cli.demo.programs import HOST, choose_port
from remask_cli.demo.project import open_project
from remask_cli.demo.session import ACCOUNT
from remask_core.errors import NotFound
from remask_core.rle_coco import encode_coco_counts
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, Click
from remask_files.coco import CocoFile
from remask_label_config.pages.round import write_round_config
from remask_label_studio.api import BackendAddress
from remask_label_studio.client import Connection, connect
from remask_masks.mask_windows import decode_mask
from remask_simulation.clicks import baseline_click, region_clicks
from remask_storage.campaign import Campaign, CampaignInstance, Mask

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = (1500, 950)
REPORT_SIZE = (1120, 1290)  # down to the end of the first two parts
# One animal, of whose first mask much is wrong: a click has something to do.
PHOTO = "000000119828.jpg"
POLICIES = {
    "cat": "### cat\n* The tail belongs to it, single whiskers do **not**.\n"
    "* A collar belongs to it, a leash does **not**.",
    "": "### Every class\n* What other objects hide does not belong to it.\n"
    "* Thin gaps, as between spokes or bars, stay filled.",
}


def main() -> None:
    # The driver of the browser tests.
    sys.path.insert(0, str(ROOT / "tests"))
    from e2e.editor import CHROMIUM_ARGUMENTS, Editor  # type: ignore[import-not-found]

    IMAGES.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remask-")))
        port = choose_port(None, preferred=8080, option="")
        url = f"http://{HOST}:{port}"
        stack.enter_context(
            start_label_studio(
                find_label_studio(None),
                port=port,
                data_dir=folder / "label-studio",
                files_root=FILES_ROOT,
                account=ACCOUNT,
            )
        )
        api_key = create_access_token(stack.enter_context(log_in(url, ACCOUNT)))
        backend = BackendAddress(f"http://{HOST}:{choose_port(None, preferred=9090, option='')}")
        model = default_model()
        stack.enter_context(
            start_backend(
                backend,
                model=model,
                state_dir=folder / "backend",
                label_studio_url=url,
                api_key=api_key,
            )
        )
        connection = stack.enter_context(connect(url, api_key))
        project = open_project(connection, backend, progress=lambda done, total: None)
        task_id, photo = next(task for task in project.tasks if task[1].file == PHOTO)
        label = photo.objects[0].label
        truth = _truth(label)

        playwright = stack.enter_context(sync_playwright())
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_ARGUMENTS)
        )
        editor = Editor(browser, url, ACCOUNT, size=SIZE)
        shown = _shown(connection, project.project_id, task_id)
        editor.open_task(project.project_id, task_id)
        editor.switch(auto_accept=True)
        region = shown
        for _ in range(3):
            click = baseline_click(truth, _pixels(region))
            answered = editor.click(click.x, click.y, label, positive=click.positive).answered
            region = next(item for item in answered if item["type"] == "brushlabels")
        editor.screenshot(IMAGES / "labelling.png")

        editor.open_stream(_open_round(connection, photo, shown))
        positive = True
        for click in _clicks(truth, _pixels(shown)):
            if click.positive != positive:
                # Pressed once more, the key would take the sign away.
                editor.take_label(*(("1", "+") if click.positive else ("2", "-")))
                positive = click.positive
            editor.point(click.x, click.y)
        editor.screenshot(IMAGES / "campaign-page.png")

        done = run_main_job(
            folder / "results",
            state=folder / "backend",
            label_studio_url=url,
            api_key=api_key,
            backend=backend,
            model=model,
            console=Console(),
        )
        _picture_report(browser, done.folder / "report.html")
        browser.close()
    print("wrote labelling.png, campaign-page.png and report.png in docs/images")


def _picture_report(browser: Browser, page: Path) -> None:
    """Write a picture of the upper part of the report at `page`."""
    width, height = REPORT_SIZE
    tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    tab.goto(page.as_uri())
    tab.screenshot(path=IMAGES / "report.png")
    tab.close()


def _truth(label: str) -> BoolMask:
    """Return the true mask of the pictured object."""
    file = CocoFile(ANNOTATIONS)
    index = file.index()
    for usable in file.usable_annotations(index):
        mask_json = usable.annotation.mask_json
        shown = index.images[usable.image_id].file_name == PHOTO
        if shown and index.categories[usable.category_id].name == label and mask_json is not None:
            return decode_mask(mask_json, shape_hw=usable.shape_hw)
    raise NotFound(f"{ANNOTATIONS} has no {label} in {PHOTO}")


def _shown(connection: Connection, project_id: int, task_id: int) -> dict[str, Any]:
    """Return the mask that the model drew for the object's box, as Label Studio holds it."""
    tasks, _ = connection.task_page(project_id, page=1, page_size=100)
    (prediction,) = next(task for task in tasks if task["id"] == task_id)["predictions"]
    region: dict[str, Any] = next(
        region for region in prediction["result"] if region["type"] == "brushlabels"
    )
    return region


def _pixels(region: dict[str, Any]) -> BoolMask:
    shape_hw = region["original_height"], region["original_width"]
    return decode_ls_rle(region["value"]["rle"], shape_hw=shape_hw)


def _clicks(truth: BoolMask, shown: BoolMask) -> list[Click]:
    """Return clicks of both signs: on the worst of what is too much, and of what is missing."""
    too_much = region_clicks(truth, shown | truth, 2, rng=np.random.default_rng(0))
    return [*too_much, baseline_click(truth, shown & truth)]


def _open_round(connection: Connection, photo: Photo, shown: dict[str, Any]) -> int:
    """Return the project of a campaign's round that shows the photo's object."""
    item, image = photo.objects[0], f"/data/local-files/?d={FOLDER.name}/{photo.file}"
    campaign = Campaign("pictured", source_project=1, created_at=0.0, policies=POLICIES)
    instance = CampaignInstance("it", image, photo.shape_hw, item.label, item.box, 1, shown["id"])
    counts = encode_coco_counts(_pixels(shown))
    mask = Mask(instance.id, 0, counts, shown["score"], shown["meta"]["model_version"])
    project_id = connection.create_project(
        "pictured · round 1", label_config=write_round_config([item.label])
    )
    connection.serve_folder(project_id, FOLDER)
    connection.import_whole_tasks(
        project_id, [task_of(campaign, 1, [instance], {instance.id: mask})]
    )
    return project_id


if __name__ == "__main__":
    main()
