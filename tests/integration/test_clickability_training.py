"""The clickability model, trained on a small made study with clicks of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from bench_data import SHAPE_HW, ellipse, write_folder
from typer.testing import CliRunner

from remask_cli.main import app
from remask_clicks.click_file import MeasuredClick, write_clicks
from remask_clicks.errors import clicked_errors
from remask_clicks.maps import compare_maps
from remask_clicks.sources import ClickSource
from remask_core.errors import InputError, NotFound, ShapeMismatch
from remask_core.types import BoolMask
from remask_evaluation.datasets import Instance, open_set
from remask_masks.clickability import ClickType, Points, error_of
from remask_models.clickability.model import Clickability, load_clickability
from remask_models.convnet.loading import WEIGHTS
from remask_training.clickability.train import Epoch, train_clickability


def near_the_top(error: BoolMask, n: int, rng: np.random.Generator) -> Points:
    """Clicks in the upper third of the error: a habit that no rule predicts."""
    rows, columns = np.nonzero(error)
    upper = rows <= np.quantile(rows, 1 / 3)
    chosen = rng.choice(np.flatnonzero(upper), size=n)
    return np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.int64)


def made_clicks(instance: Instance, masks: Path, rng: np.random.Generator) -> list[MeasuredClick]:
    """Twelve clicks on the object, on what a mask missed of it, and on what it had too much."""
    truth = instance.load().truth
    mask = np.roll(truth, 8, axis=1)
    kinds: tuple[ClickType, ...] = ("first", "fn", "fp")
    clicks = [
        MeasuredClick.on(
            instance, (int(x), int(y)), kind=kind, shape_hw=SHAPE_HW, model=kind and "sam"
        )
        for kind in kinds
        for x, y in near_the_top(error_of(truth, mask, kind), 12, rng)
    ]
    for name in {click.full_stem for click in clicks if click.click_type != "first"}:
        assert cv2.imwrite(str(masks / f"{name}.png"), mask.astype(np.uint8) * 255)
    return clicks


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set, `clicks.csv` and `masks/`."""
    folder = tmp_path_factory.mktemp("study")
    write_folder(folder / "tiny")
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    clicks = [
        click
        for instance in open_set(folder / "tiny")
        for click in made_clicks(instance, folder / "masks", rng)
    ]
    write_clicks(folder / "clicks.csv", clicks)
    return folder


@pytest.fixture(scope="module")
def weights(study: Path) -> Path:
    arguments = ["--data", str(study / "tiny"), "--clicks", str(study / "clicks.csv")]
    more = ["--masks", str(study / "masks"), "--epochs", "16", "--device", "cpu"]

    result = CliRunner().invoke(
        app,
        ["train", "clickability", *arguments, *more, "--out", str(study / "run"), "--name", "toy"],
    )

    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


@pytest.fixture(scope="module")
def model(weights: Path) -> Clickability:
    return load_clickability(weights)


def test_a_habit_is_learnt_from_first_and_later_clicks(study: Path, model: Clickability) -> None:
    instances = open_set(study / "tiny")
    rng = np.random.default_rng(7)
    (study / "new").mkdir()
    clicks: list[MeasuredClick] = []
    for instance in instances:
        clicks += made_clicks(instance, study / "new", rng)

    found = compare_maps(clicked_errors(clicks, instances, masks=study / "new").errors, model=model)

    scores = {(row.clicks, row.map): row.scores for row in found}
    for clicks_on in ("first", "later"):
        learned = scores[clicks_on, model.version]
        for rule in ("uniform", "distance"):
            assert learned.wd < scores[clicks_on, rule].wd
            assert learned.pde > scores[clicks_on, rule].pde


def test_a_map_is_a_distribution_near_its_error(study: Path, model: Clickability) -> None:
    sample = open_set(study / "tiny")[0].load()
    error = np.zeros_like(sample.truth)
    error[18:22, 20:24] = True

    found = model.clickmap(sample.image, sample.truth, error)

    assert found.dtype == np.float32
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    assert found.min() >= 0.0
    assert found[error].sum() > 0.99
    assert not model.clickmap(sample.image, sample.truth, np.zeros_like(error)).any()


def test_the_file_tells_whose_clicks_it_was_trained_on(weights: Path, model: Clickability) -> None:
    assert model.facts["trained_on"] == "toy"
    assert model.facts["errors"] + model.facts["errors_held_out"] == 9
    assert model.version.startswith("clickability@")
    assert not list(weights.parent.glob("*.part"))


def test_the_benchmark_takes_the_model(study: Path, weights: Path) -> None:
    arguments = ["--data", str(study / "tiny"), "--out", str(study / "bench"), "--rounds", "2"]
    few = ["--groups", "2", "--limit", "1", "--pictures", "0", "--json"]

    model = ["--model", "remask_bench.checkable:load_checkable", "--clicks", str(weights)]
    result = CliRunner().invoke(app, ["bench", "rclicks", *model, *arguments, *few])

    assert result.exit_code == 0, result.output
    (summary,) = json.loads(result.stdout)
    assert summary["clicks_from"] == ClickSource.parse(str(weights)).label
    assert "predicted by a model" in (study / "bench/report.html").read_text()


def test_training_begins_with_the_softened_error_and_gets_nearer(
    study: Path, tmp_path: Path
) -> None:
    found = clicked_errors(
        [
            MeasuredClick.first(instance, (int(x), int(y)), shape_hw=SHAPE_HW)
            for instance in open_set(study / "tiny")
            for x, y in near_the_top(instance.load().truth, 5, np.random.default_rng(2))
        ],
        open_set(study / "tiny"),
    )
    told: list[Epoch] = []

    train_clickability(
        (error.load() for error in found.errors), out=tmp_path, epochs=6, told=told.append
    )

    assert [epoch.number for epoch in told] == [0, 1, 2, 3, 4, 5, 6]
    assert told[-1].divergence < told[0].divergence


def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="clicks on it"):
        train_clickability([], out=tmp_path)
    with pytest.raises(InputError, match="epochs"):
        train_clickability([], out=tmp_path, epochs=0)


def test_other_weights_are_refused() -> None:
    with pytest.raises(InputError, match="remask-clickability-1"):
        load_clickability(WEIGHTS)


def test_masks_of_another_size_are_refused(model: Clickability) -> None:
    image = np.zeros((9, 9, 3), dtype=np.uint8)

    with pytest.raises(ShapeMismatch, match="error"):
        model.clickmap(image, np.ones((9, 9), dtype=np.bool_), ellipse(20, 20) == 1)
