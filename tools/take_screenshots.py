"""Write the pictures in docs/images anew, from the demo in a real browser."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import sync_playwright

from remask_cli.demo.backend import default_model, start_backend
from remask_cli.demo.label_studio import (
    create_access_token,
    find_label_studio,
    log_in,
    start_label_studio,
)
from remask_cli.demo.photos import FILES_ROOT, FOLDER
from remask_cli.demo.programs import HOST, choose_port
from remask_cli.demo.project import DemoProject, open_project
from remask_cli.demo.session import ACCOUNT
from remask_core.rle_coco import encode_coco_rle
from remask_core.rle_ls import decode_ls_rle
from remask_label_config.round_page import write_round_config
from remask_rounds.campaign import Campaign, CampaignInstance, Mask
from remask_rounds.label_studio import BackendAddress, Connection, connect
from remask_rounds.round_tasks import task_of

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = (1500, 950)
# What is clicked in the demo's first photo: x, y in its pixels, and the sign. The trunk belongs to
# the elephant; the cloth on its back and the road between its legs do not.
CLICKS = ((185, 350, True), (83, 243, False), (104, 390, False))
POLICIES = {
    "elephant": "### elephant\n* Tusks, trunk and tail belong to it.\n"
    "* Riders, saddles and cloths do **not**.",
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
        stack.enter_context(
            start_backend(
                backend,
                model=default_model(),
                state_dir=folder / "backend",
                label_studio_url=url,
                api_key=api_key,
            )
        )
        connection = stack.enter_context(connect(url, api_key))
        project = open_project(connection, backend, progress=lambda done, total: None)
        label = project.tasks[0][1].objects[0].label

        playwright = stack.enter_context(sync_playwright())
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_ARGUMENTS)
        )
        editor = Editor(browser, url, ACCOUNT, size=SIZE)
        editor.open_stream(project.project_id)
        editor.switch(auto_accept=True)
        for x, y, positive in CLICKS:
            editor.click(x, y, label, positive=positive)
        editor.screenshot(IMAGES / "labelling.png")
        editor.open_stream(_open_round(connection, project))
        for x, y, positive in CLICKS:
            editor.press_key("1" if positive else "2")
            editor.point(x, y)
        editor.screenshot(IMAGES / "campaign-page.png")
        browser.close()
    print("wrote docs/images/labelling.png and docs/images/campaign-page.png")


def _open_round(connection: Connection, project: DemoProject) -> int:
    """Return the project of a campaign's round that shows the demo's first object."""
    photo = project.tasks[0][1]
    (task,), _ = connection.task_page(project.project_id, page=1, page_size=1)
    (prediction,) = task["predictions"]
    shown = next(one for one in prediction["result"] if one["type"] == "brushlabels")
    pixels = decode_ls_rle(shown["value"]["rle"], shape_hw=photo.shape_hw)
    item, image = photo.objects[0], task["data"]["image"]
    campaign = Campaign("pictured", project.project_id, created_at=0.0, policies=POLICIES)
    instance = CampaignInstance(
        "pictured", image, photo.shape_hw, item.label, item.box, task["id"], shown["id"]
    )
    counts = encode_coco_rle(pixels)["counts"].encode("ascii")
    mask = Mask("pictured", 0, counts, shown["score"], prediction["model_version"])
    title, page = "pictured · round 1", write_round_config([item.label])
    project_id = connection.create_project(title, label_config=page)
    connection.serve_folder(project_id, FOLDER)
    connection.import_whole_tasks(
        project_id, [task_of(campaign, 1, [instance], {instance.id: mask})]
    )
    return project_id


if __name__ == "__main__":
    main()
