"""The study of label noise: really trained, though on very little, and resumed where it stopped."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from noise_shapes import write_shapes
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError, NotFound
from remask_noise.study.data import StudySet, read_study
from remask_noise.study.heads import HeadConfig, symmetric_cross_entropy
from remask_noise.study.report import csv_of, page_of, table_of
from remask_noise.study.run import CONFIGS, StudyConfig, run_study, summarise

TINY = StudyConfig(
    images=12,
    classes=2,
    image_px=128,
    seeds=(0,),
    levels=("hard",),
    heads=HeadConfig(width=16, hidden=32, mask_epochs=25, class_epochs=15, batch=8),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudySet:
    folder = tmp_path_factory.mktemp("shapes")
    return read_study(write_shapes(folder), folder / "shapes", n_images=12, n_classes=2, seed=0)


def test_a_study_learns_from_clean_labels_and_suffers_from_noisy_ones(
    data: StudySet, tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    rows = run_study(data, TINY, tmp_path / "rows.jsonl", watch=lambda *at: done.append(at))
    assert done[-1][0] == done[-1][1]
    kinds = [(row.noise, row.level, row.loss) for row in rows]
    noisy = [(noise, "hard") for noise in ("class", "spatial", "both")]
    want = [(*kind, loss) for kind in [("clean", "none"), *noisy] for loss in ("ce", "sce")]
    assert want == kinds
    by_kind = dict(zip(kinds, rows, strict=True))
    clean = by_kind["clean", "none", "ce"]
    assert clean.ap > 0.5
    assert clean.foreground_ap > 0.5
    assert (clean.wrong_class, clean.mask_iou) == (0, 1)
    spatial, both = by_kind["spatial", "hard", "ce"], by_kind["both", "hard", "ce"]
    assert spatial.wrong_class == 0
    assert spatial.mask_iou < 0.97
    assert both.wrong_class > 0.1
    assert both.boundary_ap < clean.boundary_ap
    summaries = summarise(rows)
    assert {summary.seeds for summary in summaries} == {1}
    assert summaries[0].kept == summaries[0].boundary_kept == 1
    html = page_of(summaries, data, made_by="Made by: a test").to_html()
    assert "disc, square" in html
    assert "Mask AP under both noise." in html
    assert len(table_of(summaries).rows) == 8
    listed = list(csv.DictReader(io.StringIO(csv_of(rows))))
    assert [row.ap for row in rows] == [float(row["ap"]) for row in listed]


def test_a_stopped_study_goes_on_and_gives_the_same_rows(data: StudySet, tmp_path: Path) -> None:
    config = replace(TINY, heads=replace(TINY.heads, mask_epochs=1, class_epochs=1))
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    rows = run_study(data, config, whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    stopped.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    done: list[int] = []
    again = run_study(data, config, stopped, watch=lambda now, total: done.append(now))
    assert rows == again
    assert done
    assert rows == run_study(data, config, stopped, watch=lambda now, total: pytest.fail("redone"))


def test_objects_are_split_by_image_and_crowds_are_left_out(data: StudySet) -> None:
    assert {example.image_id for example in data.train}.isdisjoint(
        example.image_id for example in data.test
    )
    assert (len(data.train), len(data.test)) == (16, 8)
    assert set(data.classes) == {"disc", "square"}
    for example in data.train + data.test:
        box = example.window.box()
        assert box is not None
        assert example.proposal.width == pytest.approx(1.2 * box.width, rel=0.2)


def test_symmetric_cross_entropy_is_bounded_where_cross_entropy_is_not() -> None:
    """A surely wrong answer costs 4 from the reverse part, whatever the logits."""
    logits = torch.tensor([[50.0, 0.0, 0.0]])
    for label, want in ((0, 0.0), (1, 0.1 * 50 + 4.0)):
        found = symmetric_cross_entropy(logits, torch.tensor([label])).item()
        assert math.isclose(want, found, abs_tol=1e-4)


def test_the_command_writes_rows_and_a_report(tmp_path: Path) -> None:
    write_shapes(tmp_path)
    words = ["noise", "study", str(tmp_path / "shapes.json"), "--images", str(tmp_path / "shapes")]
    words += ["--quick", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    summaries = json.loads(done.stdout)
    assert len(summaries) == 8
    assert np.isfinite([summary["ap"]["value"] for summary in summaries]).all()
    assert (tmp_path / "out/report.html").read_text().startswith("<!doctype html>")
    assert len((tmp_path / "out/rows.csv").read_text().splitlines()) == 9
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    assert "boundary AP" in again.stdout


def test_what_cannot_be_studied_is_said(tmp_path: Path) -> None:
    path = write_shapes(tmp_path)
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        annotation["category_id"] = 1
    (tmp_path / "one.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="two classes at least"):
        read_study(tmp_path / "one.json", tmp_path / "shapes", n_images=12, n_classes=2, seed=0)
    data = read_study(path, tmp_path / "elsewhere", n_images=12, n_classes=2, seed=0)
    with pytest.raises(NotFound, match="elsewhere"):
        run_study(data, TINY, tmp_path / "rows.jsonl")


def test_every_size_names_published_levels_and_sides_that_fit() -> None:
    for config in CONFIGS.values():
        assert config.image_px % 16 == 0
        assert set(config.levels) <= {"easy", "medium", "hard"}
