"""The click log that `remask log export` writes is what the model of clicks can learn from."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from campaign_data import NAME, SHAPE, fill, instance, square

from remask_clicks.log import read_clicked_errors
from remask_exports.click_table import write_clicks
from remask_training.clickability.examples import target_of


def write_export(folder: Path, names: list[str]) -> Path:
    """An export in the layout of `remask export png`, every instance the same square."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    cv2.imwrite(str(folder / "images/im.png"), np.full((*SHAPE, 3), 99, np.uint8))
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask", "instance", "name"])
        for number, name in enumerate(names):
            cv2.imwrite(str(folder / f"masks/{number}.png"), square(10, 50).astype(np.uint8) * 255)
            writer.writerow(["im.png", f"{number}.png", 255, name])
    return folder


def test_clicks_of_each_round_meet_the_mask_of_the_round_before(tmp_path: Path) -> None:
    store = fill(tmp_path / "campaigns.db")
    write_clicks(store, NAME, tmp_path / "log.csv", processes=1)
    store.close()
    names = [f"{number}/{instance(number).id}" for number in range(4)]
    export = write_export(tmp_path / "export", names)

    found = read_clicked_errors([tmp_path / "log.csv"], [export])

    missed = [error for error in found.errors if error.kind == "fn"]
    assert [error.name.split("-")[1] for error in missed] == ["1", "2", "1"]
    assert [error.instance.name for error in missed] == ["0-255", "0-255", "3-255"]
    first, second, _ = (error.load() for error in missed)
    assert np.array_equal(first.error, square(40, 50))
    assert np.array_equal(second.error, square(45, 50))
    assert first.points_xy.tolist() == [[46, 30]]
    assert target_of(first) is not None
    assert found.left_out == {}
