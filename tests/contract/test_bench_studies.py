"""Whole benchmarks on three tiny objects: alike whatever the order, resumed, and reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from bench_data import write_folder

from remask_core.errors import InputError
from remask_core.types import Candidate, Embedding, Prompt
from remask_evaluation.contestants import BoxSegmenter, Contestant
from remask_evaluation.datasets import open_set
from remask_evaluation.interactive import noc, rounds
from remask_evaluation.interactive.designs import DESIGNS, QUESTIONS
from remask_evaluation.interactive.noc import FROM_BOX, NocRow
from remask_evaluation.interactive.points import PointsRow, play_points
from remask_evaluation.interactive.rounds import RoundsRow
from remask_evaluation.interactive.studies import (
    Setting,
    study_noc,
    study_points,
    study_rounds,
)
from remask_evaluation.trials import Trial, read_rows

CHECKABLE = "remask_bench.checkable:load_checkable"


class Watch:
    """Counts what a progress bar would show."""

    def __init__(self) -> None:
        self.total = -1
        self.done = 0

    @contextmanager
    def __call__(self, total: int) -> Iterator[Callable[[], None]]:
        self.total = total

        def on_done() -> None:
            self.done += 1

        yield on_done


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "tiny")


def setting(data: Path, out: Path, **changes: object) -> Setting:
    given: dict[str, object] = {"models": (CHECKABLE,), "pictured": 1, "made_by": "a test"}
    return Setting(data=(data,), out=out, **(given | changes))  # type: ignore[arg-type]


def noc_rows(out: Path) -> dict[str, NocRow]:
    return {row.key: row for row in read_rows(out / "rows.jsonl", NocRow)}


def test_a_click_study_has_a_row_per_object_and_start(data: Path, tmp_path: Path) -> None:
    watch = Watch()

    result = study_noc(setting(data, tmp_path / "out"), watch=watch)

    rows = noc_rows(tmp_path / "out").values()
    assert (watch.total, watch.done) == (3, 3)
    assert len(rows) == 6
    assert all(len(row.ious) == noc.MAX_CLICKS + 1 for row in rows)
    assert all((row.box is not None) == (row.start == FROM_BOX) for row in rows)
    assert all(0.0 <= iou <= 1.0 for row in rows for iou in row.ious)
    assert [len(table.rows) for table in result.tables] == [1, 1]


def test_clicks_on_a_growing_disk_make_the_mask_better(data: Path, tmp_path: Path) -> None:
    study_noc(setting(data, tmp_path / "out"), watch=Watch())

    for row in noc_rows(tmp_path / "out").values():
        assert max(row.ious[1:]) > row.ious[0] or row.start == FROM_BOX


def test_a_study_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    out, watch = tmp_path / "out", Watch()
    study_noc(setting(data, out), watch=Watch())
    whole = (out / "rows.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (out / "rows.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:40])

    study_noc(setting(data, out), watch=watch)

    assert watch.total == 2
    assert _timeless(noc_rows(out)) == _timeless(_rows_of(whole))


def test_order_and_company_do_not_change_a_result(data: Path, tmp_path: Path) -> None:
    both = setting(data, tmp_path / "both", models=("box", CHECKABLE))
    study_rounds(both, box="noisy", questions=False, watch=Watch())
    one = setting(data, tmp_path / "one", limit=1)
    study_rounds(one, box="noisy", questions=False, watch=Watch())

    rows = {row.key: row for row in read_rows(tmp_path / "both/rows.jsonl", RoundsRow)}
    (alone,) = read_rows(tmp_path / "one/rows.jsonl", RoundsRow)
    assert alone.rounds == rows[alone.key].rounds
    assert alone.ious == rows[alone.key].ious


def test_every_model_gets_the_same_box(data: Path, tmp_path: Path) -> None:
    both = setting(data, tmp_path / "both", models=("box", CHECKABLE))

    study_rounds(both, box="jittered", questions=False, watch=Watch())

    rows = read_rows(tmp_path / "both/rows.jsonl", RoundsRow)
    boxes: dict[str, set[tuple[float, ...]]] = {}
    for row in rows:
        boxes.setdefault(row.instance, set()).add(row.box)
    assert len(rows) == 6
    assert [len(found) for found in boxes.values()] == [1, 1, 1]


def test_a_rounds_study_answers_every_question(data: Path, tmp_path: Path) -> None:
    result = study_rounds(
        setting(data, tmp_path / "out", limit=1), box="tight", questions=True, watch=Watch()
    )

    rows = read_rows(tmp_path / "out/rows.jsonl", RoundsRow)
    assert {row.design for row in rows} == {f"{name}, tight box" for name in DESIGNS}
    assert [len(table.rows) for table in result.tables[1:]] == [
        len(question.answers) for question in QUESTIONS
    ]
    for row in rows:
        design = DESIGNS[row.design.removesuffix(", tight box")]
        assert row.boundary_fs is not None
        assert len(row.ious) == len(row.boundary_fs) == len(row.rounds) + 1 == design.rounds + 1
        assert all(len(clicks) <= design.clicks for clicks in row.rounds)


def test_a_round_without_clicks_ends_the_rounds(data: Path, tmp_path: Path) -> None:
    """With the smallest error to be clicked beyond what is wrong, the box's mask is accepted."""
    study_rounds(
        setting(data, tmp_path / "out", limit=1), box="tight", questions=True, watch=Watch()
    )

    rows = read_rows(tmp_path / "out/rows.jsonl", RoundsRow)
    (row,) = (row for row in rows if row.design.startswith("ignore 30"))
    assert row.rounds == [[], [], []]
    assert len(set(row.ious)) == 1
    assert len(row.steps()) == 1


def test_the_reports_open_without_a_network_and_name_their_command(
    data: Path, tmp_path: Path
) -> None:
    click_study = study_noc(setting(data, tmp_path / "noc"), watch=Watch())
    round_study = study_rounds(
        setting(data, tmp_path / "rounds", models=(CHECKABLE, "box")),
        box="jittered",
        questions=True,
        watch=Watch(),
    )

    for result in (click_study, round_study):
        html = result.report.read_text()
        assert "a test" in html
        assert "data:image/jpeg;base64," in html
        assert "<svg" in html
        assert "http" not in html.replace("http://www.w3.org", "")


def test_sets_of_one_name_are_refused(data: Path, tmp_path: Path) -> None:
    twice = Setting(data=(data, data), models=(CHECKABLE,), out=tmp_path / "out")

    with pytest.raises(InputError, match="sets of different names"):
        study_noc(twice, watch=Watch())


def test_rows_of_another_study_are_refused(data: Path, tmp_path: Path) -> None:
    study_noc(setting(data, tmp_path / "out"), watch=Watch())

    with pytest.raises(InputError, match="rows of another kind"):
        study_rounds(setting(data, tmp_path / "out"), box="tight", questions=False, watch=Watch())


def test_the_box_as_mask_has_no_click_study(data: Path, tmp_path: Path) -> None:
    watch = Watch()

    study_noc(setting(data, tmp_path / "out", models=("box", CHECKABLE)), watch=watch)

    assert watch.total == 3


def test_there_is_no_boundary_f_where_the_truth_has_a_void(data: Path, tmp_path: Path) -> None:
    result = study_rounds(
        setting(data, tmp_path / "out"), box="tight", questions=False, watch=Watch()
    )

    rows = read_rows(tmp_path / "out/rows.jsonl", RoundsRow)
    assert {row.instance: row.boundary_fs is None for row in rows} == {
        "0-1": False,
        "1-1": False,
        "2-1": True,
    }
    (summary,) = rounds.summarise(rows)
    assert summary.mean_f is None
    assert [row.count(None) for row in result.tables[0].rows] == [4]


def test_summaries_of_rounds_count_clicks_and_acceptances(data: Path, tmp_path: Path) -> None:
    study_rounds(setting(data, tmp_path / "out"), box="tight", questions=False, watch=Watch())

    rows = read_rows(tmp_path / "out/rows.jsonl", RoundsRow)
    (summary,) = rounds.summarise(rows)
    given = sum(len(clicks) for row in rows for clicks in row.rounds)
    assert summary.clicks[-1] == pytest.approx(given / 3)
    assert summary.accepted == sum(not row.rounds[-1] for row in rows)


def _rows_of(data: bytes) -> dict[str, NocRow]:
    import msgspec

    rows = [msgspec.json.decode(line, type=NocRow) for line in data.splitlines()]
    return {row.key: row for row in rows}


def _timeless(rows: dict[str, NocRow]) -> dict[str, object]:
    timed = ("embed_s", "click_s")
    return {
        key: {name: value for name, value in _fields(row).items() if name not in timed}
        for key, row in rows.items()
    }


def _fields(row: NocRow) -> dict[str, object]:
    import msgspec

    fields: dict[str, object] = json.loads(msgspec.json.encode(row))
    return fields


def test_a_point_study_has_both_first_points_and_the_oracle(data: Path, tmp_path: Path) -> None:
    result = study_points(setting(data, tmp_path / "out"), watch=Watch())

    rows = read_rows(tmp_path / "out/rows.jsonl", PointsRow)
    assert [(row.instance, row.first) for row in rows] == [
        (name, first) for name in ("0-1", "1-1", "2-1") for first in ("centre", "random")
    ]
    for row in rows:
        assert len(row.ious) == len(row.oracle_ious) == 9
        assert all(best <= oracle for best, oracle in zip(row.ious, row.oracle_ious, strict=True))
        assert row.clicks[0][2]
    (table,) = result.tables
    assert len(table.rows) == 2
    assert "oracle" in result.report.read_text()


def test_the_oracle_takes_the_best_of_all_candidates(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose second candidate is the truth, and whose first is nothing."""
    (instance, *_) = open_set(data)
    truth = instance.load().truth

    class Two(BoxSegmenter):
        def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
            return [Candidate(mask, 0.5) for mask in (np.zeros_like(truth), truth)]

    monkeypatch.setattr(Contestant, "load", lambda contestant: Two())
    trial = Trial(instance, Contestant.parse(CHECKABLE), "two@1", ("centre",), 0)

    (row,) = play_points(trial)

    assert set(row.ious) == {0.0}
    assert set(row.oracle_ious) == {1.0}
    assert row.candidates == 2
