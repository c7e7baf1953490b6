"""A campaign's results, exported and read back by what reads such files outside."""

from __future__ import annotations

import csv
import json
import struct
from contextlib import nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from campaign_data import NAME, counts, fill, instance, visit
from fake_studio import FakeStudio
from PIL import Image, ImageOps
from pycocotools import coco as outside
from pycocotools.cocoeval import COCOeval
from typer.testing import CliRunner

from remask_campaigns.rounds.instance_state import by_image, instance_states
from remask_campaigns.rounds.results import result_task
from remask_cli.export import app
from remask_core.errors import InputError, WrongState
from remask_core.images import image_size
from remask_core.rle_coco import decode_coco_rle
from remask_exports.export import export
from remask_exports.formats.coco import COCO
from remask_exports.formats.label_studio import LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS
from remask_exports.formats.open_images import OPEN_IMAGES
from remask_exports.formats.parquet import PARQUET
from remask_exports.formats.png import PNG
from remask_exports.formats.yolo import YOLO
from remask_exports.selection import Selection
from remask_label_config.labelling_config import parse_labelling_config
from remask_label_config.pages.live import write_labelling_config
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.judge import fit_rows, rank_rows
from remask_ranking.ranks import write_ranks
from remask_storage.campaign import Campaign, Mask
from remask_storage.campaign_store import CampaignStore

Json = dict[str, Any]


def results(store: CampaignStore) -> list[Json]:
    """The tasks of the results project, as Label Studio exports them after their import."""
    campaign = store.campaign(NAME)
    controls = parse_labelling_config(write_labelling_config(["cat", "dog"])).images[0]
    masks = {name: made[max(made)] for name, made in store.masks(NAME)}
    tasks = [
        result_task(campaign, some, masks, controls)
        for some in by_image(instance_states(store, campaign))
    ]
    return [imported(number, task) for number, task in enumerate(tasks, start=1)]


def imported(number: int, task: Json) -> Json:
    annotations = task.get("annotations") or [
        {"result": prediction["result"]} for prediction in task["predictions"]
    ]
    about = {"id": 100 + number, "completed_by": 1, "was_cancelled": False}
    whole = [{**about, **annotation} for annotation in annotations]
    # What is written is JSON and nothing else.
    return json.loads(json.dumps({**task, "id": number, "annotations": whole}))


def write(path: Path, tasks: list[Json]) -> Path:
    path.write_text(json.dumps(tasks))
    return path


@pytest.fixture
def store(tmp_path: Path):
    store = fill(tmp_path / "campaigns.db")
    yield store
    store.close()


@pytest.fixture
def source(store: CampaignStore, tmp_path: Path) -> Path:
    return write(tmp_path / "export.json", results(store))


def rows_of(folder: Path) -> dict[str, Json]:
    data = json.loads((folder / "instances.json").read_text())
    return {row["instance"]: row for row in data["annotations"]}


def test_a_campaigns_names_outcomes_and_people_reach_the_export(source, tmp_path: Path) -> None:
    manifest = export(source, COCO, out=tmp_path / "coco")
    rows = rows_of(tmp_path / "coco")

    ids = [instance(number).id for number in range(4)]
    assert list(rows) == [ids[0], ids[1], ids[3]]
    first = rows[ids[0]]
    assert (first["round"], first["outcome"], first["annotator"]) == (2, "corrected", 7)
    assert (first["score"], first["n_clicks"]) == (0.875, 4)
    assert [click["round"] for click in first["clicks"]] == [1, 1, 2, 2]
    assert [click["positive"] for click in first["clicks"]] == [True, False, True, False]
    assert first["drawn_box"] == [8, 8, 44, 44]
    assert rows[ids[1]]["outcome"] == "accepted"
    left_out = (tmp_path / "coco" / "left_out.csv").read_text().splitlines()
    assert left_out[1:] == [f"{ids[2]},skipped,"]
    assert manifest.left_out == {"skipped": 1}


def test_only_what_is_promised_is_exported_with_its_sentence(source, tmp_path: Path) -> None:
    promise = tmp_path / "guarantee.json"
    content = {"sentence": "At most 5 % are bad.", "instances": [instance(1).id], "truths": 59}
    promise.write_text(json.dumps(content))

    manifest = export(source, COCO, out=tmp_path / "coco", guaranteed=promise)

    assert list(rows_of(tmp_path / "coco")) == [instance(1).id]
    assert manifest.guarantee == "At most 5 % are bad."
    assert manifest.left_out == {"not-selected: not-promised": 2, "skipped": 1}


def test_what_was_painted_can_be_selected(store: CampaignStore, tmp_path: Path) -> None:
    name = instance(1).id
    painted = np.zeros((60, 80), np.bool_)
    painted[5:9, 5:9] = True
    store.replace_visits(NAME, 1, [11], [replace(visit(1, 1, "painted"), painted=counts(painted))])
    store.put_masks(NAME, [Mask(name, 1, counts(painted), None, "painted")])
    source = write(tmp_path / "export.json", results(store))
    export(
        source,
        COCO,
        out=tmp_path / "coco",
        selection=Selection(outcomes=frozenset(["painted"])),
    )

    rows = rows_of(tmp_path / "coco")
    assert list(rows) == [name]
    assert rows[name]["score"] is None
    assert np.array_equal(decode_coco_rle(rows[name]["segmentation"]), painted)


def test_a_mask_painted_over_in_the_results_is_painted(source, tmp_path: Path) -> None:
    tasks = json.loads(source.read_text())
    for region in tasks[0]["annotations"][0]["result"]:
        region["origin"] = "prediction-changed"
    export(write(source, tasks), COCO, out=tmp_path / "coco")

    assert rows_of(tmp_path / "coco")[instance(0).id]["outcome"] == "painted"


def test_a_copied_region_does_not_take_the_name_of_its_original(source, tmp_path: Path) -> None:
    tasks = json.loads(source.read_text())
    regions = tasks[0]["annotations"][0]["result"]
    mask = next(region for region in regions if region["type"].startswith("brush"))
    # The mask's class may stand in a second entry of its id.
    entries = [region for region in regions if region["id"] == mask["id"]]
    regions += [{**region, "id": "copy"} for region in entries]
    export(write(source, tasks), COCO, out=tmp_path / "coco")

    assert {instance(0).id, "1/copy"} <= rows_of(tmp_path / "coco").keys()


def test_a_campaigns_ranking_and_its_exports_speak_of_the_same_instances(
    store: CampaignStore, source: Path, tmp_path: Path
) -> None:
    rows = list(campaign_rows(store, NAME))
    write_ranks(rank_rows(fit_rows(rows, seed=0), rows), tmp_path / "ranks.csv")
    manifest = export(
        source,
        COCO,
        out=tmp_path / "coco",
        ranks=tmp_path / "ranks.csv",
        selection=Selection(top_percent=60),
    )

    assert manifest.instances == 2
    assert "not-selected: not-ranked" not in manifest.left_out
    assert all(row["rank"] for row in rows_of(tmp_path / "coco").values())


def test_what_goes_back_to_label_studio_comes_out_of_it_again(
    store: CampaignStore, source: Path, tmp_path: Path
) -> None:
    rows = list(campaign_rows(store, NAME))
    ranks = tmp_path / "ranks.csv"
    write_ranks(rank_rows(fit_rows(rows, seed=0), rows), ranks)
    export(source, COCO, out=tmp_path / "before", ranks=ranks)
    for form in (LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS):
        export(source, form, out=tmp_path / form.name, ranks=ranks)
        tasks = json.loads((tmp_path / form.name / "tasks.json").read_text())
        again = [imported(number, task) for number, task in enumerate(tasks, start=1)]
        path = write(tmp_path / f"{form.name}.json", again)
        export(path, COCO, out=tmp_path / f"{form.name}-after", ranks=ranks)

        before, after = rows_of(tmp_path / "before"), rows_of(tmp_path / f"{form.name}-after")
        assert before == after
        one = next(task for task in tasks if instance(0).image == task["data"]["image"])
        known = before[instance(0).id]
        assert one["data"]["rank"] == known["rank"]
        assert one["data"]["predicted_iou"] == known["predicted_iou"]
        held = [
            holder for task in tasks for holder in task.get("predictions", task.get("annotations"))
        ]
        regions = [region for holder in held for region in holder["result"]]
        assert None not in [
            v for region in regions for v in (*region.values(), *region["value"].values())
        ]


def test_predictions_without_a_ranking_say_nothing_of_rank(source, tmp_path: Path) -> None:
    export(source, LABEL_STUDIO, out=tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())

    assert all(task["data"]["rank"] is None for task in tasks)
    assert tasks[0]["predictions"][0]["score"] is None
    empty = write(tmp_path / "empty.json", [])
    export(empty, LABEL_STUDIO, out=tmp_path / "none")
    assert json.loads((tmp_path / "none" / "tasks.json").read_text()) == []


def test_a_parquet_table_holds_every_mask_and_click(source, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export(source, PARQUET, out=tmp_path / "table")
    export(source, COCO, out=tmp_path / "coco")
    lines = parquet.read_table(tmp_path / "table" / "instances.parquet").to_pylist()
    rows = rows_of(tmp_path / "coco")

    assert [line["instance"] for line in lines] == list(rows)
    for line in lines:
        row = rows[line["instance"]]
        assert line["counts"] == row["segmentation"]["counts"]
        assert [line["height"], line["width"]] == row["segmentation"]["size"]
        assert line["clicks"] == row["clicks"]
        assert line["area"] == row["area"]
    export(
        source,
        PARQUET,
        out=tmp_path / "none",
        selection=Selection(classes=frozenset(["unicorn"])),
    )
    assert parquet.read_table(tmp_path / "none" / "instances.parquet").num_rows == 0


@pytest.mark.parametrize("form", [COCO, OPEN_IMAGES, PNG, LABEL_STUDIO])
def test_every_number_of_processes_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form
) -> None:
    monkeypatch.setattr("remask_exports.batches._BYTES_AT_ONCE", 5000)
    with_many = fill(tmp_path / "campaigns.db", n=60)
    source = write(tmp_path / "export.json", results(with_many))
    with_many.close()
    one = export(source, form, out=tmp_path / "one")
    two = export(source, form, out=tmp_path / "two", processes=2)

    assert one == two
    assert one.instances == 45


# How pycocotools hands over its arrays, in numpy 2's eyes.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_outside_readers_find_the_object_where_the_picture_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A photo that EXIF turns, higher than wide, with an object of two parts and a hole."""
    shape_hw = (96, 64)
    truth = np.zeros(shape_hw, np.bool_)
    truth[10:50, 6:40] = True
    truth[20:36, 14:30] = False
    truth[60:84, 34:60] = True
    seen = np.where(truth[:, :, None], np.array([250, 40, 40]), np.array([20, 60, 20]))
    stored = Image.fromarray(np.rot90(seen.astype(np.uint8)).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right to see it
    stored.save(tmp_path / "im0.jpg", quality=95, exif=exif)
    data = (tmp_path / "im0.jpg").read_bytes()
    assert image_size(data) == shape_hw

    store = CampaignStore.open(tmp_path / "campaigns.db")
    one = replace(instance(0), shape_hw=shape_hw)
    store.add_campaign(Campaign(NAME, 3, 1000.0), [one])
    store.replace_visits(NAME, 1, None, [visit(0, 1, "accepted")])
    store.put_masks(NAME, [Mask(one.id, 0, counts(truth), 0.5, "toy@1")])
    source = write(tmp_path / "export.json", results(store))
    store.close()
    for form in (COCO, OPEN_IMAGES, PNG, YOLO):
        export(source, form, out=tmp_path / form.name)

    coco = outside.COCO(str(tmp_path / "coco" / "instances.json"))
    [image] = coco.loadImgs(coco.getImgIds())
    [row] = coco.loadAnns(coco.getAnnIds())
    shown = np.asarray(ImageOps.exif_transpose(Image.open(BytesIO(data))))
    mask = coco.annToMask(row).astype(bool)
    assert (image["height"], image["width"]) == shown.shape[:2] == mask.shape
    assert shown[mask][:, 0].min() > 128 > shown[~mask][:, 0].max()
    scores = COCOeval(coco, coco.loadRes([{**row, "score": 1.0}]), "segm")
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    capsys.readouterr()
    assert scores.stats[0] == pytest.approx(1.0)

    [line] = csv.DictReader(
        (tmp_path / "openimages" / "segmentations.csv").read_text().splitlines()
    )
    path = tmp_path / "openimages" / "masks" / line["MaskPath"]
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0, truth)
    assert float(line["BoxXMax"]) == pytest.approx(52 / 64)
    assert float(line["BoxYMax"]) == pytest.approx(52 / 96)
    [picture] = (tmp_path / "png-indexed" / "masks").iterdir()
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (64, 96)
    assert np.array_equal(cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE) == 1, truth)
    numbers = (tmp_path / "yolo" / "labels" / "im0.txt").read_text().split()[1:]
    places = (np.array(numbers, float).reshape(-1, 2) * (64, 96)).astype(np.int32)
    filled = cv2.fillPoly(np.zeros(shape_hw, np.uint8), [places], 1).astype(bool)
    assert np.count_nonzero(filled != truth) <= 40


def test_five_lines_of_python_are_an_export(source: Path, tmp_path: Path) -> None:
    lines = (
        (Path(__file__).parents[2] / "docs" / "exports.md")
        .read_text()
        .partition("## From Python")[2]
        .partition("```python\n")[2]
        .partition("```")[0]
    )
    code = lines.replace('Path("export.json")', "source").replace('Path("coco")', "out")
    said: list[object] = []
    exec(  # noqa: S102
        compile(code, "docs/exports.md", "exec"),
        {"source": source, "out": tmp_path / "coco", "print": lambda *what: said.extend(what)},
    )

    assert sum(bool(line.strip()) for line in lines.splitlines()) <= 5
    assert said == [3, {"skipped": 1}]


def test_a_campaign_is_fetched_by_its_name(
    store: CampaignStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = FakeStudio()
    config = write_labelling_config(["cat", "dog"])
    project = studio.create_project(f"{NAME} · masks", label_config=config)
    tasks = [{key: task[key] for key in ("data", "annotations")} for task in results(store)]
    studio.import_whole_tasks(project, tasks)
    monkeypatch.setattr(
        "remask_label_studio.client.connect", lambda url, api_key: nullcontext(studio)
    )
    options = ["coco", "--campaign", NAME, "--out", str(tmp_path / "coco")]
    options += ["--state", str(tmp_path)]

    early = CliRunner().invoke(app, options)
    assert isinstance(early.exception, WrongState)
    assert "no results yet" in str(early.exception)
    store.change_campaign(replace(store.campaign(NAME), results_project=project))
    done = CliRunner().invoke(app, options, catch_exceptions=False)

    assert 0 == done.exit_code
    assert 3 == len(rows_of(tmp_path / "coco"))
    manifest = json.loads((tmp_path / "coco" / "manifest.json").read_text())
    assert manifest["source"]["name"] == "masks.json"
    assert manifest["config"]["name"] == "masks.config.xml"
    for wrong in (["coco", "--out", "x"], ["coco", "a.json", *options[1:]]):
        assert isinstance(CliRunner().invoke(app, wrong).exception, InputError)
