"""One browser and one backend with the toy model for all browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e.editor import CHROMIUM_ARGUMENTS, Editor
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from ports import free_port
from studio import ACCOUNT, Studio

from remask_cli.demo.backend import default_model, start_backend
from remask_cli.demo.programs import HOST
from remask_core.types import RgbImage
from remask_label_config.pages.live import write_labelling_config
from remask_label_studio.api import BackendAddress, ImportedPrediction
from remask_label_studio.client import Connection

TESTS = Path(__file__).parents[1]
LABELS = ("cat", "dog")


@dataclass(frozen=True, slots=True)
class Work:
    """A project that is open for annotators."""

    project_id: int
    task_ids: Sequence[int]
    connection: Connection

    def annotations(self) -> list[list[dict[str, Any]]]:
        """The annotations of each task, as Label Studio exports them."""
        return [task["annotations"] for task in self.connection.export_tasks(self.project_id)]

    def only_result(self) -> list[dict[str, Any]]:
        """The regions of the only annotation there is."""
        ((annotation,),) = [found for found in self.annotations() if found]
        regions: list[dict[str, Any]] = annotation["result"]
        return regions


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        pytest.skip("needs chromium (Debian's package of that name)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_ARGUMENTS)
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def toy_backend(
    studio: Studio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackendAddress]:
    """A backend whose masks are known: see `fakes.toy_mask`."""
    yield from _backend(studio, tmp_path_factory, "fakes:load_toy")


@pytest.fixture(scope="session")
def real_backend(
    studio: Studio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BackendAddress]:
    """A backend with the model that people get by default."""
    yield from _backend(studio, tmp_path_factory, default_model())


def _backend(
    studio: Studio, tmp_path_factory: pytest.TempPathFactory, model: str
) -> Iterator[BackendAddress]:
    port = free_port()
    address = BackendAddress(f"http://{HOST}:{port}", user="label-studio", password="known to both")
    with start_backend(
        address,
        model=model,
        state_dir=tmp_path_factory.mktemp("backend"),
        label_studio_url=studio.url,
        api_key=studio.api_key,
        environ={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH")))),
            "OMP_NUM_THREADS": "1",
        },
    ):
        yield address


@pytest.fixture(scope="session")
def editor(browser: Browser, studio: Studio, slowdown: float) -> Iterator[Editor]:
    """One browser tab for all tests that do not mind what others have done in it."""
    driven = Editor(browser, studio.url, ACCOUNT, slowdown=slowdown)
    yield driven
    driven.close()


@pytest.fixture
def annotator(browser: Browser, studio: Studio, slowdown: float) -> Iterator[Editor]:
    """Somebody whose browser has not seen the page before."""
    driven = Editor(browser, studio.url, ACCOUNT, slowdown=slowdown)
    yield driven
    driven.close()


@pytest.fixture(scope="session")
def slowdown(pytestconfig: pytest.Config) -> float:
    """How many times slower than this machine the browser's machine shall be."""
    factor: float = pytestconfig.getoption("--browser-slowdown")
    return factor


@pytest.fixture
def open_work(studio: Studio, request: pytest.FixtureRequest) -> Callable[..., Work]:
    """Make a project with the given images, for the test at hand."""

    def open_work(
        images: Sequence[str],
        backend: BackendAddress,
        *,
        kind: str = "brush",
        config: str | None = None,
        predicted: Callable[[int], Sequence[dict[str, Any]]] | None = None,
    ) -> Work:
        connection = studio.connection
        project_id = connection.create_project(
            request.node.name[:50],
            label_config=config or write_labelling_config(LABELS, kind=kind),
        )
        connection.serve_folder(project_id, studio.files_root / "images")
        task_ids = connection.import_tasks(
            project_id, [{"image": f"/data/local-files/?d=images/{name}"} for name in images]
        )
        if predicted is not None:
            connection.import_predictions(
                project_id,
                [
                    ImportedPrediction(task_id, predicted(task_id), 0.5, "earlier")
                    for task_id in task_ids
                ],
            )
        connection.add_backend(project_id, backend)
        return Work(project_id, task_ids, connection)

    return open_work


def _picture(shape_hw: tuple[int, int], *, red: int) -> RgbImage:
    """A picture with something to see; the toy's disks have a radius of 5 + `red` pixels."""
    height, width = shape_hw
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns % 256, rows % 256, (rows + columns) % 256], axis=2).astype(np.uint8)
    image[0, 0, 0] = red
    return image


@pytest.fixture(scope="session")
def picture(studio: Studio) -> tuple[str, RgbImage]:
    """Name and pixels of a landscape picture, 640 by 480."""
    image = _picture((480, 640), red=15)
    Image.fromarray(image).save(studio.files_root / "images" / "picture.png")
    return "picture.png", image


@pytest.fixture(scope="session")
def turned_picture(studio: Studio) -> tuple[str, RgbImage]:
    """Name and pixels of a picture that is stored lying and shown standing: 480 by 640."""
    shown = _picture((640, 480), red=15)
    exif = Image.Exif()
    exif[0x0112] = 6  # the browser turns it clockwise by a quarter
    stored = Image.fromarray(np.rot90(shown).copy())
    path = studio.files_root / "images" / "turned.png"
    stored.save(path, exif=exif)
    return path.name, shown
