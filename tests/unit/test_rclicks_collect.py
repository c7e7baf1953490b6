"""Clicks from people: what they are shown, what they are asked, and which answers count."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from bench_data import SHAPE_HW, write_folder

from remask_clicks.collect import batches, collect, read_words, write_tasks
from remask_clicks.display import DisplayMode, display
from remask_core.errors import InputError, NotFound
from remask_evaluation.datasets import Instance, open_set
from remask_label_config.pages.first_clicks import (
    ClickTask,
    GivenClick,
    clicks_config,
    given_clicks,
)

HEIGHT, WIDTH = SHAPE_HW


@pytest.fixture
def instances(tmp_path: Path) -> list[Instance]:
    return open_set(write_folder(tmp_path / "tiny"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def answer(
    instance: Instance, *xy: tuple[int, int], person: str = "7", batch: int = 0, minute: int = 0
) -> GivenClick:
    task = ClickTask(image="i.png", object=instance.key, batch=batch, mode="cutout")
    when = f"2026-01-01T00:{minute:02}:00Z"
    return GivenClick(task, person, when, xy, SHAPE_HW)


def test_the_cut_out_shows_the_object_and_nothing_else(instances: list[Instance]) -> None:
    sample = instances[0].load()

    shown = display(sample, DisplayMode.cutout)

    assert np.array_equal(sample.image[sample.truth], shown[sample.truth])
    assert (shown[~sample.truth] == 128).all()


def test_the_shifted_cut_out_lies_in_the_corner(instances: list[Instance]) -> None:
    sample = instances[0].load()

    shown = (display(sample, DisplayMode.shifted) != 128).any(axis=2)

    assert shown[:, 0].any()
    assert shown[0].any()
    assert shown.sum() == sample.truth.sum()


def test_the_silhouette_is_the_mask(instances: list[Instance]) -> None:
    sample = instances[0].load()

    assert np.array_equal(display(sample, DisplayMode.silhouette)[:, :, 1] == 255, sample.truth)


def test_a_highlight_is_a_green_line_around_the_object(instances: list[Instance]) -> None:
    sample = instances[0].load()

    changed = (display(sample, DisplayMode.highlighted) != sample.image).any(axis=2)

    assert changed.any()
    assert not changed[20, 25]


def test_words_stand_for_no_picture(instances: list[Instance]) -> None:
    assert (display(instances[0].load(), DisplayMode.text) == 128).all()


def test_no_image_is_twice_in_a_batch(instances: list[Instance], rng: np.random.Generator) -> None:
    doubled = [*instances, *instances]

    found = batches(doubled, rng=rng)

    assert [len(batch) for batch in found] == [3, 3]
    for batch in found:
        assert len({instance.image_path for instance in batch}) == len(batch)


def test_a_batch_is_full_before_the_next_begins(
    instances: list[Instance], rng: np.random.Generator
) -> None:
    assert [len(batch) for batch in batches(instances, rng=rng, size=2)] == [2, 1]


def test_tasks_name_files_that_are_there(
    instances: list[Instance], tmp_path: Path, rng: np.random.Generator
) -> None:
    out = tmp_path / "out"

    tasks = write_tasks(instances, out, mode=DisplayMode.cutout, url="/files/", rng=rng)

    written = json.loads((out / "tasks.json").read_text())
    assert len(written) == len(tasks) == 3
    for task in written:
        assert (out / task["data"]["image"].removeprefix("/files/")).is_file()
        assert (out / task["data"]["shown"].removeprefix("/files/")).is_file()
    assert (out / "config.xml").read_text() == clicks_config()


def test_images_of_one_name_and_odd_names_stay_apart(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    (first, *_) = open_set(write_folder(tmp_path / "a"))
    odd = tmp_path / "b #1 ü.png"
    odd.write_bytes(first.image_path.read_bytes())
    same = tmp_path / first.image_path.name
    same.write_bytes(first.image_path.read_bytes())
    instances = [first, replace(first, image_path=odd), replace(first, image_path=same)]

    tasks = write_tasks(instances, tmp_path / "out", mode=DisplayMode.cutout, url="/", rng=rng)

    urls = [task.image for task in tasks]
    assert len(set(urls)) == 3
    assert all("#" not in url and " " not in url for url in urls)
    assert all((tmp_path / "out" / unquote(url[1:])).is_file() for url in urls)


def test_tasks_by_words_need_words_for_every_object(
    instances: list[Instance], tmp_path: Path, rng: np.random.Generator
) -> None:
    out, words = tmp_path / "out", tmp_path / "words.csv"
    words.write_text(
        "object,words\n" + "".join(f"{instance.key},the red ellipse\n" for instance in instances)
    )

    (task, *_) = write_tasks(
        instances, out, mode=DisplayMode.text, url="/", rng=rng, words=read_words(words)
    )

    assert (task.words, task.shown) == ("the red ellipse", "")
    assert (out / "config.xml").read_text() == clicks_config("text")
    with pytest.raises(NotFound, match="no description"):
        write_tasks(instances, out, mode=DisplayMode.text, url="/", rng=rng)


def test_words_need_their_columns(tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("name,text\n")

    with pytest.raises(InputError, match=r"object.*words"):
        read_words(tmp_path / "words.csv")


@pytest.mark.parametrize("kind", ["image", "text"])
def test_the_configurations_ask_for_one_click_on_the_image(kind: Any) -> None:
    root = ElementTree.fromstring(clicks_config(kind))

    (points,) = root.iter("KeyPointLabels")
    (label,) = points
    assert points.get("toName") == "image"
    assert (label.get("maxUsages"), label.get("selected")) == ("1", "true")
    assert resources.files("remask_label_config.pages").joinpath(f"clicks_{kind}.xml").is_file()


def test_a_click_on_the_object_counts(instances: list[Instance]) -> None:
    found = collect([answer(instances[0], (25, 20))], instances, device="mobile")

    (click,) = found.clicks
    assert (click.x, click.y, click.w, click.h) == (25, 20, WIDTH, HEIGHT)
    assert (click.image_stem, click.object_stem, click.device) == ("0", "1", "mobile")
    assert (found.answers, found.rejected) == (1, {})


def test_two_of_three_inside_are_too_few_for_a_batch(instances: list[Instance]) -> None:
    found = collect(
        [
            answer(instances[0], (25, 20)),
            answer(instances[1], (50, 35), minute=1),
            answer(instances[2], (0, 0), minute=2),
        ],
        instances,
    )

    assert (found.clicks, found.rejected) == ((), {"batch": 3})


def test_a_click_one_radius_beside_the_object_counts_and_a_farther_one_does_not(
    tmp_path: Path,
) -> None:
    many = [open_set(write_folder(tmp_path / f"set{number}"))[0] for number in range(4)]
    edge = int(np.flatnonzero(many[0].load().truth[20])[-1])
    good = [answer(task, (25, 20), minute=number) for number, task in enumerate(many[:3])]

    near = collect([*good, answer(many[3], (edge + 1, 20), minute=9)], many)
    far = collect([*good, answer(many[3], (edge + 2, 20), minute=9)], many)

    assert (len(near.clicks), near.rejected) == (4, {})
    assert (len(far.clicks), far.rejected) == (3, {"outside": 1})


def test_a_careless_batch_does_not_spoil_another(instances: list[Instance]) -> None:
    found = collect(
        [
            answer(instances[0], (0, 0), person="3", batch=0),
            answer(instances[1], (50, 35), person="3", batch=1, minute=1),
            answer(instances[0], (25, 20), person="4", batch=0, minute=2),
        ],
        instances,
    )

    assert len(found.clicks) == 2
    assert found.rejected == {"batch": 1}


def test_nobody_counts_twice_on_an_image(instances: list[Instance]) -> None:
    found = collect(
        [
            answer(instances[0], (25, 20)),
            answer(instances[0], (26, 20), minute=1),
            answer(instances[0], (27, 20), person="8", minute=2),
        ],
        instances,
    )

    assert [click.x for click in found.clicks] == [25, 27]
    assert found.rejected == {"seen before": 1}


def test_no_click_and_several_clicks_are_no_click(instances: list[Instance]) -> None:
    found = collect([answer(instances[0]), answer(instances[1], (50, 35), (51, 35))], instances)

    assert (found.clicks, found.rejected) == ((), {"skipped": 1, "several clicks": 1})


def test_an_unknown_object_is_named(instances: list[Instance]) -> None:
    with pytest.raises(InputError, match="tiny/0-1"):
        collect([answer(instances[0], (1, 1))], instances[1:])


def test_a_click_on_an_image_of_another_size_is_refused(instances: list[Instance]) -> None:
    task = ClickTask(image="i.png", object=instances[0].key, batch=0, mode="cutout")

    with pytest.raises(InputError, match="clicked on an image of"):
        collect([GivenClick(task, "1", "", ((1, 1),), (30, 40))], instances)


def exported(**changes: Any) -> bytes:
    region = {
        "id": "a",
        "type": "keypointlabels",
        "value": {"x": 50.0, "y": 99.99, "width": 0.3, "keypointlabels": ["object"]},
        "original_width": 80,
        "original_height": 60,
        "image_rotation": 0,
    }
    annotation = {
        "id": 5,
        "completed_by": 2,
        "was_cancelled": False,
        "created_at": "2026-01-01T00:00:00Z",
        "result": [region | changes.pop("region", {})],
    }
    data = {"image": "i.png", "object": "tiny/0-1", "batch": 0, "mode": "cutout"}
    return json.dumps([{"id": 1, "data": data, "annotations": [annotation | changes]}]).encode()


def test_an_export_is_read_as_pixels() -> None:
    (given,) = given_clicks(exported())

    assert (given.person, given.xy, given.shape_hw) == ("2", ((40, 59),), (60, 80))


def test_exports_of_several_projects_are_one_list_by_time() -> None:
    later = exported(created_at="2026-01-02T00:00:00Z", completed_by=9)

    assert [given.person for given in given_clicks(later, exported())] == ["2", "9"]


def test_people_may_be_exported_in_full() -> None:
    (given,) = given_clicks(exported(completed_by={"id": 3, "email": "a@example.org"}))

    assert given.person == "3"


def test_a_skipped_task_has_no_click() -> None:
    (given,) = given_clicks(exported(was_cancelled=True))

    assert given.xy == ()


def test_regions_that_are_no_points_are_left_out() -> None:
    (given,) = given_clicks(exported(region={"type": "choices", "value": {"choices": ["x"]}}))

    assert given.xy == ()


@pytest.mark.parametrize(
    ("export", "named"),
    [
        (b"not json", "JSON export"),
        (b'[{"data": {"image": "a.png"}}]', "JSON export"),
        (exported(region={"image_rotation": 90}), "turned image"),
        (exported(region={"original_width": 0}), "size"),
    ],
)
def test_other_exports_are_refused(export: bytes, named: str) -> None:
    with pytest.raises(InputError, match=named):
        given_clicks(export)
