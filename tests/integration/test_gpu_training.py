"""A rehearsal on the CPU of the training that runs on a GPU in one piece."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tools.gpu.crops import Stock
from tools.gpu.pack import Packed, pack, unpack
from tools.gpu.prompts import go_on, start
from tools.gpu.train import Sizes, train

from remask_models.convnet.loading import WEIGHTS, load_network
from remask_models.convnet.prompt_planes import BOX, HAS_PRIOR, NEGATIVE, POSITIVE
from remask_models.weights_file import read_header
from remask_training.batches import load_pool


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Eight pictures of a bright ellipse on a dark ground, packed."""
    root = tmp_path_factory.mktemp("data") / "ellipses"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(8):
        mask = np.zeros((90, 110), np.uint8)
        cv2.ellipse(mask, (55, 45), (int(rng.integers(22, 40)), 28), 0, 0, 360, 1, -1)
        image = rng.integers(0, 60, (90, 110, 3), dtype=np.uint8)
        image[mask == 1] += np.array([20, 90, 150], np.uint8)
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), image)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
        x, y, width, height = cv2.boundingRect(mask)
        corners = {"x0": x, "y0": y, "x1": x + width, "y1": y + height}
        names = {"image": f"{number}.jpg", "mask": f"{number}.png", "instance": 1}
        rows.append({**names, **corners, "area": int(mask.sum())})
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    pool, _ = load_pool([root])
    out = root / "pack.npz"

    side, _ = pack(pool, out, most_bytes=10**6)

    assert side == 320
    assert out.stat().st_size < 10**6
    return unpack(out)


@pytest.fixture(scope="module")
def stock(packed: Packed) -> Stock:
    return Stock(packed, torch.device("cpu"))


def test_what_is_packed_is_what_was_read(packed: Packed) -> None:
    assert len(packed.pictures) == len(packed.labels) == len(packed.values)
    assert sum(packed.odds) == pytest.approx(1)
    for number, (x0, y0, x1, y1) in enumerate(packed.boxes):
        mask = packed.labels[packed.labels_of[number]] == packed.values[number]
        assert (x0, y0, x1 - x0, y1 - y0) == cv2.boundingRect(mask.astype(np.uint8))


def test_a_pack_that_cannot_be_small_enough_is_refused(tmp_path: Path) -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[10:50, 10:50] = 1
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), labels)
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), labels)
    (tmp_path / "index.csv").write_text(
        "image,mask,instance,x0,y0,x1,y1,area\na.jpg,a.png,1,10,10,50,50,1600\n"
    )
    pool, _ = load_pool([tmp_path])

    with pytest.raises(ValueError, match="most_bytes"):
        pack(pool, tmp_path / "pack.npz", most_bytes=10)


def test_crops_show_the_object_that_their_truth_says(stock: Stock) -> None:
    torch.manual_seed(0)
    crops = stock.draw(60, side=96)

    assert crops.image.shape == (60, 3, 96, 96)
    assert crops.truth.shape == crops.known.shape == crops.inside.shape == (60, 1, 48, 48)
    assert ((crops.truth >= 0) & (crops.truth <= 1)).all()
    assert (crops.truth.sum((1, 2, 3)) > 20).float().mean() > 0.95
    # The ellipses were written with OpenCV, whose last channel is red.
    red = torch.nn.functional.avg_pool2d(crops.image, 2)[:, :1]
    known = (crops.inside > 0).float()
    inner = (red * (crops.truth > 0.9) * known).sum() / ((crops.truth > 0.9) * known).sum()
    outer = (red * (crops.truth < 0.1) * known).sum() / ((crops.truth < 0.1) * known).sum()
    assert inner > outer + 0.3


def test_prompts_begin_with_a_box_or_a_click_and_go_on_with_errors(stock: Stock) -> None:
    torch.manual_seed(1)
    crops = stock.draw(40, side=96)

    drawn = start(crops)

    boxed, clicked = drawn[:, BOX].flatten(1).any(1), drawn[:, POSITIVE].flatten(1).any(1)
    seen = crops.truth.flatten(1).max(1).values > 0.9
    assert torch.equal(boxed[seen], crops.with_box[seen])
    assert (clicked | boxed)[seen].all()
    assert not drawn[:, HAS_PRIOR].any()
    right = crops.truth.clone()
    before = drawn.clone()
    go_on(drawn, right, crops)
    assert torch.equal(before[:, :2], drawn[:, :2])
    go_on(drawn, torch.ones_like(right), crops)
    assert drawn[:, NEGATIVE].flatten(1).any(1).float().mean() > 0.7
    inside = drawn[:, NEGATIVE] * (crops.truth[:, 0] > 0.5)
    assert inside.sum() < 0.3 * drawn[:, NEGATIVE].sum()


def test_ten_steps_leave_weights_that_load(stock: Stock, tmp_path: Path) -> None:
    sizes = Sizes(sides=(64, 96), batch=2, passes=2, warm_up=2)

    steps = train(
        stock, load_network(WEIGHTS), sizes=sizes, minutes=60, steps=10, seed=0, out=tmp_path
    )

    assert steps == 10
    assert read_header(tmp_path / "weights.npz")["step"] == 10
    load_network(tmp_path / "weights.npz")


def test_a_run_ends_with_its_minutes(stock: Stock, tmp_path: Path) -> None:
    seconds = iter([float(second) for second in range(0, 1000, 25)])
    sizes = Sizes(sides=(64,), batch=2, passes=1)

    steps = train(
        stock,
        load_network(WEIGHTS),
        sizes=sizes,
        minutes=2,
        steps=None,
        seed=0,
        out=tmp_path,
        clock=lambda: next(seconds),
    )

    assert steps == 3
