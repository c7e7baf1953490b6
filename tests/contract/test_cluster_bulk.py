"""Bulk work on a cluster: the same bytes as on one machine, from two replicas without Ray."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from cluster_site import open_replica
from fakes import ToySegmenter, toy_image, write_image
from ports import free_port
from typer.testing import CliRunner

from remask_campaigns.automatic.folder_masks import mask_folder
from remask_campaigns.automatic.project_masks import AutomaticPlan
from remask_campaigns.rounds.engine_masks import EngineMasks
from remask_campaigns.rounds.mask_jobs import MaskJob, NoMask, round_zero_job
from remask_cli.campaign.masks import open_masks
from remask_cli.main import app
from remask_core.errors import InputError, Unavailable
from remask_core.history import Step
from remask_core.types import Box, Click
from remask_images.image_source import ImageSource
from remask_images.image_store import ImageStore, StoredImage
from remask_masks.automatic.generate import AutomaticSettings
from remask_noise.weak import make_weak
from remask_storage.campaign import CampaignInstance, Mask
from remask_worker.calls import Engine
from remask_worker.cluster.engine import RayEngine
from remask_worker.thread_engine import ThreadEngine

SHAPE_HW = (40, 50)
TOY = "fakes:load_toy"


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[list[str]]:
    """Two replicas, each at an address of its own."""
    with (
        open_replica(tmp_path / "ra", name="a") as first,
        open_replica(tmp_path / "rb", name="b") as second,
    ):
        yield [first.url, second.url]


@pytest.fixture
def far(addresses: list[str]) -> Iterator[RayEngine]:
    engine = RayEngine(addresses)
    yield engine
    engine.close(grace_s=0.0)


@pytest.fixture
def near() -> Iterator[ThreadEngine]:
    engine = ThreadEngine(ToySegmenter())
    yield engine
    engine.close()


class Inline:
    """Images by their mark, kept as the web host keeps them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = ImageStore(
            folder / "store", max_bytes=1 << 24, max_image_bytes=1 << 20, max_pixels=1 << 20
        )

    def fetch(self, url: str, *, task_id: int | None) -> StoredImage:
        return self._store.put([write_image(self._folder, int(url), SHAPE_HW).read_bytes()])


def jobs(count: int) -> list[MaskJob]:
    made = []
    for number in range(count):
        instance = CampaignInstance(
            f"i{number}", str(number % 9), SHAPE_HW, "cat", Box(5, 6, 20, 30), 1, f"i{number}"
        )
        first = round_zero_job(instance)
        click = Step(clicks=(Click(float(number % 50), 20, number % 3 > 0),))
        made.append(MaskJob(instance, 1, (*first.steps, click)))
    return made


def masks(engine: Engine, images: ImageSource, work: list[MaskJob]) -> list[Mask | NoMask]:
    return list(EngineMasks(engine, images, wait=lambda _s: None)(work))


def test_a_campaigns_masks_are_those_of_one_machine(
    far: RayEngine, near: ThreadEngine, tmp_path: Path
) -> None:
    work, images = jobs(120), Inline(tmp_path)

    assert masks(near, images, work) == masks(far, images, work)


def test_a_data_set_made_on_a_cluster_is_that_of_one_machine(
    far: RayEngine, near: ThreadEngine, tmp_path: Path
) -> None:
    source = coco(tmp_path)
    results = []
    for name, engine in (("near", near), ("far", far)):
        out = tmp_path / f"{name}.json"
        make_weak(source, tmp_path, out, engine=engine, prompt="box", class_share=0.5)
        results.append(out.read_bytes())

    assert results[0] == results[1]


def coco(folder: Path) -> Path:
    """Write a COCO file of six images with four squares each."""
    square = [[10, 12, 30, 12, 30, 26, 10, 26]]
    for mark in range(6):
        cv2.imwrite(str(folder / f"photo-{mark}.png"), toy_image(mark, SHAPE_HW)[:, :, ::-1])
    document = {
        "images": [
            {"id": mark, "height": 40, "width": 50, "file_name": f"photo-{mark}.png"}
            for mark in range(6)
        ],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [
            {"id": n, "image_id": n % 6, "category_id": 1 + n % 2, "segmentation": square}
            for n in range(1, 25)
        ],
    }
    path = folder / "in.json"
    path.write_text(json.dumps(document))
    return path


def test_the_command_takes_a_cluster_and_refuses_another_model(
    addresses: list[str], tmp_path: Path
) -> None:
    source, out = coco(tmp_path), tmp_path / "out.json"
    command = ["noise", "weak", str(source), "--images", str(tmp_path), "--out", str(out)]
    on_cluster = [*command, "--engine", "ray", "--ray-address", ",".join(addresses)]

    done = CliRunner().invoke(app, [*on_cluster, "--model", TOY, "--json"])
    other = CliRunner().invoke(app, [*on_cluster, "--model", "convnet"])
    nowhere = CliRunner().invoke(app, [*command, "--engine", "ray"])
    neither = CliRunner().invoke(app, [*command, "--engine", "cloud"])

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model_version"] == "toy@000000000000"
    assert "`--model` must be the cluster's, toy@000000000000" in str(other.exception)
    assert isinstance(nowhere.exception, InputError)
    assert "--engine" in str(neither.exception)


def test_automatic_masks_of_a_cluster_are_those_of_one_machine(
    addresses: list[str], far: RayEngine, near: ThreadEngine, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for mark in (1, 2):
        write_image(photos, mark, SHAPE_HW)
    settings = AutomaticSettings(points_per_side=3, min_score=0.0, min_stability=0.0)
    plan = AutomaticPlan(model="toy@000000000000", settings=settings)
    results = []
    for name, engine in (("near", near), ("far", far)):
        mask_folder(engine, photos, tmp_path / f"{name}.json", plan)
        results.append(json.loads((tmp_path / f"{name}.json").read_text()))
    out = tmp_path / "command.json"
    command = ["masks", "auto", "--images", str(photos), "--out", str(out), "--model", TOY]
    command += ["--points-per-side", "3", "--min-score", "0", "--min-stability", "0"]
    command += ["--engine", "ray", "--ray-address", ",".join(addresses)]
    done = CliRunner().invoke(app, [*command, "--state", str(tmp_path / "state")])

    assert done.exit_code == 0, done.output
    assert results[0]["annotations"]
    assert results[0] == results[1] == json.loads(out.read_text())


def test_a_campaigns_commands_take_a_cluster(addresses: list[str], tmp_path: Path) -> None:
    png = cv2.imencode(".png", toy_image(3, SHAPE_HW))[1].tobytes()
    instance = CampaignInstance(
        "i", f"data:image/png;base64,{base64.b64encode(png).decode()}", SHAPE_HW, "cat",
        Box(5, 6, 20, 30), 1, "i",
    )  # fmt: skip
    place = str(tmp_path / "state"), "http://127.0.0.1:1", "key"

    with open_masks(*place, model=TOY, engine="ray", ray_address=addresses[0]) as make_masks:
        (mask,) = make_masks([round_zero_job(instance)])
    with (
        pytest.raises(InputError, match="must be the cluster's"),
        open_masks(*place, model="convnet", engine="ray", ray_address=addresses[0]),
    ):
        pass
    with (
        pytest.raises(Unavailable, match="does not answer"),
        open_masks(*place, model=TOY, engine="ray", ray_address=f"http://127.0.0.1:{free_port()}"),
    ):
        pass

    assert isinstance(mask, Mask)
    assert mask.model_version == "toy@000000000000"
