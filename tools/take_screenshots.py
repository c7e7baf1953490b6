"""Write the pictures in docs/images anew, from the demo in a real browser."""

from __future__ import annotations

import argparse
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
from remask_cli.demo.photos import ANNOTATIONS, FILES_ROOT, FOLDER, Photo, live_photos
from remask_cli.demo.programs import HOST, choose_port
from remask_cli.demo.project import open_project
from remask_cli.demo.session import ACCOUNT
from remask_core.errors import NotFound
from remask_core.rle_coco import encode_coco_counts
from remask_core.rle_ls import decode_ls_rle
from remask_core.types import BoolMask, Click
from remask_files.coco import CocoFile
from remask_label_config.pages.live import write_labelling_config
from remask_label_config.pages.round import write_round_config
from remask_label_studio.api import BackendAddress
from remask_label_studio.client import Connection, connect
from remask_masks.mask_windows import decode_mask
from remask_simulation.clicks import baseline_click, region_clicks
from remask_storage.campaign import Campaign, CampaignInstance, Mask

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = (1500, 950)
GUIDE_SIZE = (1366, 768)
GUIDE_CLASSES = ("dog", "bird")
NOT_ANSWERED = "The model has not answered: click again."
REPORT_SIZE = (1120, 1290)  # down to the end of the first two parts
# One animal, of whose first mask much is wrong: a click has something to do.
PHOTO = "000000119828.jpg"
POLICIES = {
    "cat": "### cat\n* The tail belongs to it, single whiskers do **not**.\n"
    "* A collar belongs to it, a leash does **not**.",
    "": "### Every class\n* What other objects hide does not belong to it.\n"
    "* Thin gaps, as between spokes or bars, stay filled.",
}


def main(*, only_guide: bool) -> None:
    # The driver of the browser tests.
    sys.path.insert(0, str(ROOT / "tests"))
    from e2e.editor import CHROMIUM_ARGUMENTS, INTERACTIVE, Editor  # type: ignore[import-not-found]

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
        running = stack.enter_context(
            start_backend(
                backend,
                model=model,
                state_dir=folder / "backend",
                label_studio_url=url,
                api_key=api_key,
            )
        )
        connection = stack.enter_context(connect(url, api_key))
        playwright = stack.enter_context(sync_playwright())
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_ARGUMENTS)
        )
        if not only_guide:
            editor = Editor(browser, url, ACCOUNT, size=SIZE)
            _picture_campaign(editor, connection, backend)
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

        guide = Editor(browser, url, ACCOUNT, size=GUIDE_SIZE)
        photo = next(photo for photo in live_photos() if photo.file == PHOTO)
        guide.open_stream(_open_guide(connection, backend, photo))
        _picture_guide(guide, photo, _truth(photo.objects[0].label))
        running.stop()
        with guide.page.expect_request_finished(lambda sent: INTERACTIVE in sent.url):
            guide.point(20, 20)
        guide.page.get_by_text(NOT_ANSWERED, exact=True).wait_for(state="visible")
        guide.screenshot(IMAGES / "live-failed.png")
        browser.close()
    print("wrote the pictures of the pages, of the guide and of the report in docs/images")


def _open_guide(connection: Connection, backend: BackendAddress, photo: Photo) -> int:
    """Return a project with the live page of a few classes, and the photo without any mask."""
    classes = [photo.objects[0].label, *GUIDE_CLASSES]
    project_id = connection.create_project("guide", label_config=write_labelling_config(classes))
    connection.serve_folder(project_id, FOLDER)
    image = f"/data/local-files/?d={FOLDER.name}/{photo.file}"
    connection.import_tasks(project_id, [{"image": image}])
    connection.add_backend(project_id, backend)
    return project_id


def _picture_guide(guide: Any, photo: Photo, truth: BoolMask) -> None:
    """Write a picture of each step of the annotators' guide."""
    guide.switch(auto_annotation=False, auto_accept=False)
    guide.screenshot(IMAGES / "live-once.png")
    guide.switch(auto_accept=True)
    guide.key("r")
    box = photo.objects[0].box
    answered = guide.ask_box((box.x0, box.y0, box.x1, box.y1)).answered
    guide.screenshot(IMAGES / "live-box.png")
    guide.key("k")
    region = next(entry for entry in answered if entry["type"].startswith("brush"))
    for click in _clicks(truth, _pixels(region)):
        guide.ask(click.x, click.y, positive=click.positive)
    guide.screenshot(IMAGES / "live-mend.png")


def _picture_campaign(editor: Any, connection: Connection, backend: BackendAddress) -> None:
    """Write a picture of a campaign's page."""
    project = open_project(connection, backend, progress=lambda done, total: None)
    task_id, photo = next(task for task in project.tasks if task[1].file == PHOTO)
    label = photo.objects[0].label
    truth = _truth(label)
    shown = _shown(connection, project.project_id, task_id)
    editor.open_stream(_open_round(connection, photo, shown))
    positive = True
    for click in _clicks(truth, _pixels(shown)):
        if click.positive != positive:
            # Pressed once more, the key would take the sign away.
            editor.take_label(*(("1", "+") if click.positive else ("2", "-")))
            positive = click.positive
        editor.point(click.x, click.y)
    editor.screenshot(IMAGES / "campaign-page.png")


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
        entry for entry in prediction["result"] if entry["type"].startswith("brush")
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-guide", action="store_true", help="only the annotators' guide")
    main(only_guide=parser.parse_args().only_guide)
