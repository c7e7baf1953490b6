from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from remask_core.errors import InputError, NotFound, WrongState
from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.weights_file import read_header, read_weights
from remask_training import encodings, start
from remask_training.batches import batches, find_folders, load_pool, read_held_out
from remask_training.config import CONFIGS, FOLDER_USES, TrainConfig
from remask_training.loop import Report, Run, train
from remask_training.readings import ReadingsReport
from remask_training.samples import held_out
from remask_training.start_readings import start_readings

TINY = replace(
    CONFIGS["small"],
    sides=(64,),
    batch=2,
    steps=4,
    passes=2,
    warm_up=1,
    check_every=2,
    check_crops=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures of one ellipse each, in the layout of index.csv."""
    root = tmp_path_factory.mktemp("data") / "ellipses"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        mask = np.zeros((90, 110), np.uint8)
        cv2.ellipse(mask, (55, 45), (int(rng.integers(22, 40)), 28), 0, 0, 360, 1, -1)
        image = rng.integers(0, 60, (90, 110, 3), dtype=np.uint8)
        image[mask == 1] += np.array([20, 90, 150], np.uint8)
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), image)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
        x, y, width, height = cv2.boundingRect(mask)
        rows.append(
            {
                "image": f"{number}.jpg",
                "mask": f"{number}.png",
                "instance": 1,
                "x0": x,
                "y0": y,
                "x1": x + width,
                "y1": y + height,
                "area": int(mask.sum()),
            }
        )
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root


def run_of(folder: Path, out: Path, config: TrainConfig) -> Run:
    pool, _ = load_pool([folder])
    checks = {"some": pool.folders[0][:2]}
    return Run(config, pool, checks, out, 3, torch.device("cpu"), {"data": ["ellipses"]})


def test_a_batch_depends_on_seed_and_number_alone(folder: Path) -> None:
    pool, _ = load_pool([folder])

    def make(first: int, last: int, loaders: int) -> list[np.ndarray]:
        made = batches(
            pool, sides=(64, 96), size=2, seed=1, first=first, last=last, loaders=loaders
        )
        return [np.stack(batch.drawn) for batch in made]

    whole, rest = make(0, 4, 1), make(2, 4, 3)

    assert len(whole) == 4
    assert all(np.array_equal(a, b) for a, b in zip(whole[2:], rest, strict=True))
    assert not np.array_equal(whole[0], whole[1])


def test_training_lowers_the_loss_and_leaves_weights_that_load(
    folder: Path, tmp_path: Path
) -> None:
    reports: list[Report] = []
    config = replace(TINY, steps=10, check_every=10)

    train(
        run_of(folder, tmp_path, config), load_network(WEIGHTS), resume=False, told=reports.append
    )

    assert [report.step for report in reports] == [10]
    assert np.isfinite(reports[0].loss)
    assert set(reports[0].checks["some"]) >= {"mb", "r1", "r3", "c1", "c5"}
    assert read_header(tmp_path / "weights.npz")["step"] == 10
    load_network(tmp_path / "weights.npz")


def test_a_resumed_run_ends_where_an_unbroken_one_does(folder: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()

    class Stopped(Exception):
        pass

    def stop(report: Report) -> None:
        if report.step > 2:
            raise Stopped

    train(run_of(folder, whole, TINY), load_network(WEIGHTS), resume=False, told=lambda _: None)
    with pytest.raises(Stopped):
        train(run_of(folder, parts, TINY), load_network(WEIGHTS), resume=False, told=stop)
    train(run_of(folder, parts, TINY), load_network(WEIGHTS), resume=True, told=lambda _: None)

    _, expected = read_weights(whole / "weights.npz")
    _, found = read_weights(parts / "weights.npz")
    assert all(np.allclose(expected[name], found[name], atol=2e-3) for name in expected)


def test_the_encoder_learns_only_when_it_is_given_a_rate(folder: Path, tmp_path: Path) -> None:
    _, before = read_weights(WEIGHTS)
    for rate, moves in ((0.0, False), (1e-3, True)):
        out = tmp_path / str(moves)
        out.mkdir()
        config = replace(TINY, steps=2, encoder_rate=rate)
        train(run_of(folder, out, config), load_network(WEIGHTS), resume=False, told=lambda _: None)
        _, after = read_weights(out / "weights.npz")
        encoder = [name for name in before if name.startswith("encoder.")]
        assert moves == any(not np.array_equal(before[name], after[name]) for name in encoder)


def test_a_run_writes_its_folder_and_will_not_overwrite_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "CONFIGS", {"small": TINY})
    out = tmp_path / "run"

    weights = start.train_convnet([folder.parent], out=out, val=[folder], steps=2, calibrated_on=2)

    assert weights == out / "weights.npz"
    names = {path.name for path in out.iterdir()}
    assert names == {"weights.npz", "checkpoint.pt", "curves.csv", "curves.html", "run.json"}
    assert json.loads((out / "run.json").read_text())["data"] == ["ellipses"]
    with (out / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["set"] for row in rows} >= {"training", "ellipses"}
    assert "<svg" in (out / "curves.html").read_text()
    with pytest.raises(WrongState, match="resume"):
        start.train_convnet([folder], out=out, steps=2)


def test_what_cannot_be_trained_on_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.pt").write_bytes(b"")

    with pytest.raises(NotFound, match=r"index\.csv"):
        start.train_convnet([tmp_path], out=tmp_path / "run")
    with pytest.raises(InputError, match="`config`"):
        start.train_convnet([folder], out=tmp_path / "run", config="huge")
    with pytest.raises(InputError, match="`minutes`"):
        start.train_convnet([folder], out=tmp_path / "run", minutes=0)
    with pytest.raises(InputError, match="`steps`"):
        start.train_convnet([folder], out=tmp_path / "run", steps=0)
    with pytest.raises(NotFound, match="`init`"):
        start.train_convnet([folder], out=tmp_path / "run", init=tmp_path / "none.pt")


def test_a_folder_of_folders_is_searched_one_level_down(folder: Path) -> None:
    assert find_folders([folder]) == find_folders([folder.parent]) == [folder]


def test_one_picture_in_twenty_is_held_out_by_name() -> None:
    kept = sum(held_out(f"picture-{number}") for number in range(4000))

    assert 140 < kept < 260
    assert held_out("picture-7") == held_out("picture-7")


def test_encodings_are_compared_from_one_start_and_not_trained_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "CONFIGS", {"small": TINY})
    monkeypatch.setattr(encodings, "_SHORT", {})
    begun: list[str] = []

    def compare() -> list[encodings.Outcome]:
        return encodings.compare_encodings(
            [folder],
            out=tmp_path,
            init=WEIGHTS,
            val=[folder],
            steps=2,
            told=lambda name, _: begun.append(name),
        )

    first, again = compare(), compare()

    assert begun == ["disk", "gaussian", "distance"]
    assert [outcome.encoding for outcome in first] == begun
    assert first == again
    assert len({outcome.checks["ellipses"]["c5"] for outcome in first}) == 3


def test_the_shares_of_the_known_folders_are_a_whole() -> None:
    assert sum(use.share for use in FOLDER_USES.values()) == pytest.approx(1)


def test_held_out_samples_are_what_training_leaves(folder: Path) -> None:
    _, kept = load_pool([folder])

    again = read_held_out([folder])

    assert [sample.picture.name for sample in kept] == [sample.picture.name for sample in again]
    assert sum(sample.weight for sample in again) == pytest.approx(1)


def test_a_first_few_held_out_samples_are_as_if_drawn(folder: Path) -> None:
    pool, _ = load_pool([folder])
    rare, common = pool.folders[0][0], pool.folders[0][1]
    samples = [replace(rare, weight=1e-4)] * 50 + [replace(common, weight=1.0)] * 5

    order = start.drawn_order(samples)

    assert len(order) == 55
    assert all(sample.weight == 1.0 for sample in order[:5])


def test_a_run_ends_when_its_minutes_are_over(folder: Path, tmp_path: Path) -> None:
    run = replace(run_of(folder, tmp_path, replace(TINY, steps=50)), minutes=1)
    seconds = iter([0.0, 10.0, 30.0, 61.0])
    reports: list[Report] = []

    train(
        run,
        load_network(WEIGHTS),
        resume=False,
        told=reports.append,
        clock=lambda: next(seconds),
    )

    assert [report.step for report in reports] == [2, 3]
    assert read_header(tmp_path / "weights.npz")["step"] == 3


def test_readings_are_taught_and_the_masks_of_the_network_stay(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    reports: list[ReadingsReport] = []
    known = read_weights(WEIGHTS)[1]

    weights = start_readings([folder], out=out, val=[folder], steps=1, seed=3, told=reports.append)
    first = read_weights(weights)[1]
    with pytest.raises(WrongState, match="resume it"):
        start_readings([folder], out=out, steps=2)
    weights = start_readings([folder], out=out, steps=2, seed=3, resume=True, told=reports.append)

    _, second = read_weights(weights)
    assert {"own", "smaller", "larger", "chosen", "oracle"} == reports[0].checks["ellipses"].keys()
    assert [1, 2] == [report.step for report in reports]
    assert not np.array_equal(first["readings.judge.0.weight"], second["readings.judge.0.weight"])
    for name, array in known.items():
        if not name.startswith("readings."):
            assert np.array_equal(array, second[name])
    assert read_header(weights)["score"] == read_header(WEIGHTS)["score"]


def test_a_fine_tuning_leaves_the_head_of_the_readings_alone(folder: Path, tmp_path: Path) -> None:
    net = load_network(WEIGHTS)
    if net.readings is None:
        net.start_readings()
        assert net.readings is not None
    before = net.readings.move.weight.clone()
    run = run_of(folder, tmp_path, replace(TINY, steps=1, check_every=1))

    train(run, net, resume=False, told=lambda report: None)

    assert torch.equal(before, net.readings.move.weight)
