"""What a manager decides by: what to deliver, who needs help, what was in vain."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_campaign import Thing, fill
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError
from remask_core.types import BoolMask, Box
from remask_quality.gallery import write_gallery
from remask_quality.measures.campaign import measure
from remask_quality.measures.headline import headline_of, next_steps
from remask_quality.measures.help import who_needs_help
from remask_quality.measures.progress import round_counts, useless_round, worse_masks
from remask_quality.measures.rows import InstanceRow, Quality, VisitRow
from remask_quality.report import quality_page, write_report
from remask_ranking.guarantee import guarantee
from remask_simulation.annotators import Annotator
from remask_storage.campaign import Campaign, Round
from remask_storage.campaign_store import CampaignStore

NAME = "shapes"
SHAPE = (80, 100)
CAREFUL = Annotator(skip_share=0.0, in_order=1.0, min_area_px=20.0)
WRONG_SIGNS = replace(CAREFUL, slip_share=1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    yield store
    store.close()


def disk(radius: float) -> BoolMask:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    found: BoolMask = (columns - 50) ** 2 + (rows - 40) ** 2 <= radius**2
    return found


def things(n: int) -> list[Thing]:
    return [
        Thing(f"/im{number}.jpg", "disk", disk(20 + number % 12), Box(20, 10, 80, 70))
        for number in range(n)
    ]


def filled(store: CampaignStore, people: tuple[Annotator, ...], n: int = 30) -> Quality:
    fill(store, Campaign(NAME, 7, 0.0), things(n), people)
    return measure(store, NAME)


def row(name: str, *ious: float, **more: object) -> InstanceRow:
    known = InstanceRow(
        id=name,
        image="/im.jpg",
        label="disk",
        outcome="corrected",
        due=(1,),
        last_round=len(ious) - 1,
        annotator=1,
        n_clicks=4,
        seconds=tuple(float(number) for number in range(len(ious))),
        ious=ious,
        settled=ious,
        score=None,
        predicted_iou=None,
        has_mask=True,
    )
    return replace(known, **more)  # type: ignore[arg-type]


def visit(number: int, after: int, before: float, then: float) -> VisitRow:
    return VisitRow(
        instance=f"i{number}",
        label="disk",
        round=after,
        annotator=1,
        outcome="corrected",
        seconds=36.0,
        n_clicks=2,
        by_truth=True,
        iou_before=before,
        iou_after=then,
    )


def quality(rows: list[InstanceRow], visits: list[VisitRow], *, rounds: int = 2) -> Quality:
    closed = tuple(Round(number, "closed", number, "toy@1") for number in range(1, rounds + 1))
    return Quality(Campaign(NAME, 7, 0.0), closed, {}, tuple(rows), tuple(visits), (), True, ())


def test_who_clicks_with_the_wrong_sign_is_named_with_three_visits(store: CampaignStore) -> None:
    found = filled(store, (CAREFUL, WRONG_SIGNS))
    needed = who_needs_help(found)

    assert {help_.name for help_ in needed} == {"Ben"}
    assert needed[0].reason.startswith("Look at the clicks of Ben: 0 % lie on an error")
    assert [len(help_.visits) for help_ in needed] == [3] * len(needed)
    assert all(shown.annotator == 2 for help_ in needed for shown in help_.visits)
    html = quality_page(store, found).to_html()
    assert html.count("3 visits of Ben.") == len(needed)
    assert any("Look at the clicks of Ben" in step.words for step in next_steps(found, None))


def test_nobody_is_named_among_equals(store: CampaignStore) -> None:
    found = filled(store, (CAREFUL, CAREFUL))

    assert who_needs_help(found) == []
    assert "nobody stands out" in quality_page(store, found).to_html()


def test_nobody_is_named_after_few_visits(store: CampaignStore) -> None:
    assert who_needs_help(filled(store, (CAREFUL, WRONG_SIGNS), n=4)) == []


def test_a_round_that_brought_nothing_is_named() -> None:
    rows = [row(f"i{n}", 0.6, 0.9, 0.9) for n in range(25)]
    gained = [visit(n, 1, 0.6, 0.9) for n in range(25)]
    nothing = [visit(n, 2, 0.9, 0.9 + 0.002 * (n % 3 - 1)) for n in range(25)]
    found = quality(rows, gained + nothing)
    useless = useless_round(found)

    assert useless is not None
    assert useless.number == 2
    assert useless.hours == pytest.approx(0.25)
    assert next(count.gain.value for count in round_counts(found)) == pytest.approx(0.3)
    words = " ".join(step.words for step in next_steps(found, None))
    assert "stop after round 1" in words


def test_a_useful_last_round_is_not_called_useless() -> None:
    rows = [row(f"i{n}", 0.6, 0.7, 0.9) for n in range(25)]
    visits = [visit(n, at, 0.5 + 0.1 * at, 0.6 + 0.1 * at) for n in range(25) for at in (1, 2)]

    assert useless_round(quality(rows, visits)) is None
    assert useless_round(quality(rows[:3], visits[:6])) is None


def test_masks_that_were_better_before_are_listed_the_largest_loss_first() -> None:
    rows = [
        row("good", 0.7, 0.9),
        row("lost", 0.5, 0.71, 0.22),
        row("hurt", 0.9, 0.8),
        row("equal", 0.7, 0.69),
        row("gone", 0.9, 0.1, has_mask=False),
    ]
    worse = worse_masks(quality(rows, []))

    assert [(mask.row.id, mask.best) for mask in worse] == [("lost", 1), ("hurt", 0)]
    assert (worse[0].iou_then, worse[0].iou_now) == (0.71, 0.22)


def test_time_in_the_middle_of_a_campaign_is_that_of_all_answers() -> None:
    quick = [row(f"q{n}", 0.9, 0.9, outcome="accepted", seconds=(0.0, 3.0)) for n in range(5)]
    slow = [
        row(f"s{n}", 0.5, 0.8, outcome="open", seconds=(0.0, 20.0, 20.0), last_round=1)
        for n in range(10)
    ]
    waiting = [row(f"w{n}", 0.5, outcome="open", seconds=(0.0,), last_round=0) for n in range(9)]
    headline = headline_of(quality([*quick, *slow, *waiting], []))

    assert headline.pace() == "20 s on the median answered instance"


@pytest.mark.parametrize(("skipped", "of", "is_named"), [(2, 17, False), (20, 60, True)])
def test_a_class_is_named_for_its_skips_only_when_chance_cannot_be_why(
    skipped: int, of: int, is_named: bool
) -> None:
    rows = [
        row(f"i{n}", 0.8, outcome="skipped" if n < skipped else "accepted", has_mask=n >= skipped)
        for n in range(of)
    ]
    words = " ".join(step.words for step in next_steps(quality(rows, []), None))

    assert ("were skipped" in words) == is_named


def test_the_promise_stands_in_the_report_as_a_customer_reads_it(store: CampaignStore) -> None:
    found = filled(store, (CAREFUL,), n=4)
    predicted = {f"i{n}": 1.0 - n / 200 for n in range(200)}
    promised = guarantee(predicted, {f"i{n}": 0.95 for n in range(0, 200, 2)})
    html = quality_page(store, found, promise=promised).to_html()
    without = quality_page(store, found, promise="no truth is known of any mask").to_html()

    assert "With 95 % confidence, at most 5 % of these 200 masks have an IoU below 0.8" in html
    assert "200 of 200" in html
    assert "--guaranteed guarantee.json" in html
    assert "Nothing can be promised yet: no truth is known of any mask." in without
    assert f"remask campaign gold {NAME} --draw random" in without


def test_who_was_accepted_by_hand_has_not_passed(store: CampaignStore) -> None:
    filled(store, (CAREFUL, CAREFUL))
    store.put_person(NAME, 1, name="Ada", qualified=True)
    store.put_person(NAME, 2, name="Ben", qualified=True, by_hand=True)
    html = quality_page(store, measure(store, NAME)).to_html()

    assert html.count(">passed<") == 1
    assert html.count(">accepted by hand<") == 1


def test_the_report_says_what_another_round_costs(store: CampaignStore, tmp_path: Path) -> None:
    filled(store, (CAREFUL, replace(CAREFUL, min_area_px=200.0)), n=40)
    write_report(store, NAME, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert "What does finishing cost?" in html
    assert "40 masks" in html
    assert "It cannot be said yet" not in html


def test_the_gallery_holds_every_mask_with_its_clicks(store: CampaignStore, tmp_path: Path) -> None:
    found = filled(store, (CAREFUL,), n=6)
    out = tmp_path / "gallery.html"
    ranks = tmp_path / "ranks.csv"
    lines = [f"{row.id},{0.5 + n / 10},{6 - n},0.1" for n, row in enumerate(found.instances)]
    ranks.write_text("\n".join(["instance,predicted_iou,rank,uncertainty", *lines]))
    count = write_gallery(store, NAME, out, ranks=ranks)
    html = out.read_text(encoding="utf-8")
    [rows] = re.findall(r'class="rows">(.*?)</script>', html)
    shown = {values[0]: values for values in json.loads(rows)}

    assert count == 6
    assert sorted(shown) == sorted(row.id for row in found.instances)
    for number, instance in enumerate(found.instances):
        _, width, height, mask, truth, box, clicks, picture, predicted, *_ = shown[instance.id]
        assert max(width, height) == 240
        assert mask.startswith("M")
        assert truth.startswith("M")
        assert len(box) == 4
        assert len(clicks) == instance.n_clicks
        assert base64.b64decode(picture)[8:12] == b"WEBP"
        assert predicted == pytest.approx(0.5 + number / 10)


def test_a_gallery_is_written_by_the_command(store: CampaignStore, tmp_path: Path) -> None:
    filled(store, (CAREFUL,), n=4)
    out = tmp_path / "gallery.html"
    given = ["report", NAME, "--gallery", "--no-images", "--out", str(out), "--state"]
    done = CliRunner().invoke(app, [*given, str(tmp_path), "--processes", "1"])
    refused = CliRunner().invoke(
        app, [*given, str(tmp_path), "--rows", str(tmp_path / "rows.csv"), "--processes", "1"]
    )

    assert done.exit_code == 0, done.output
    assert f"Gallery: {out}, 4 masks" in done.stdout
    assert isinstance(refused.exception, InputError)
