"""`remask campaign create`: where a campaign begins."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_cli.campaign.app import app, open_session
from remask_cli.campaign.left_out import LeftOutNotes
from remask_core.errors import InputError, WrongState
from remask_files.text import read_text
from remask_service.campaign_images import open_image_source, pixels_from
from remask_service.state import open_campaigns
from remask_terminal.options import ApiKey, Json, Name, State, Url
from remask_terminal.printing import print_json, print_table

if TYPE_CHECKING:
    from remask_campaigns.sources.upload import SourceImage
    from remask_core.left_out import OnLeftOut
    from remask_ranking.first_forecast import Sized
    from remask_storage.campaign import Campaign, CampaignInstance

__all__ = ["create"]


class ModeChoice(str, Enum):
    """When masks are computed: as a round closes, or at each click."""

    batch = "batch"
    live = "live"


@app.command(
    epilog="Example: `remask campaign create cats --coco boxes.json --images photos --rounds 3`"
)
def create(
    name: Name,
    project: Annotated[
        int | None, typer.Option(help="Begin from the boxes of this Label Studio project.")
    ] = None,
    coco: Annotated[
        Path | None, typer.Option(help="Begin from the boxes of this COCO instances file.")
    ] = None,
    open_images: Annotated[
        Path | None, typer.Option(help="Begin from the boxes of this Open Images CSV.")
    ] = None,
    class_descriptions: Annotated[
        Path | None, typer.Option(help="CSV with the names of Open Images' labels.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of the images of the file; uploaded unless there is a prefix."),
    ] = None,
    image_prefix: Annotated[
        str | None,
        typer.Option(
            help="What comes before a file's name in its address: https://example.org/photos/ or "
            "/data/local-files/?d=photos/"
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often an instance is seen.")] = 3,
    clicks: Annotated[int, typer.Option(min=1, help="Most clicks in a round.")] = 4,
    min_size: Annotated[
        str, typer.Option(help="Least width and height of an object in px, either way round.")
    ] = "80x40",
    mode: Annotated[ModeChoice, typer.Option(help="When masks are computed.")] = ModeChoice.batch,
    model: Annotated[str, typer.Option(help="As `remask serve --model` takes it.")] = "convnet",
    per_task: Annotated[
        int, typer.Option(min=1, help="Most instances of an image on one page.")
    ] = 1,
    crop: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Show each object of a large image in a crop, whose sides are so many times as "
            "long as the longer side of the box; 2 is a good choice.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="Markdown shown beside the image: FILE for every class, CLASS=FILE for one, "
            "CLASS,CLASS=FILE for several; may be repeated."
        ),
    ] = None,
    with_truth: Annotated[
        bool,
        typer.Option("--truth", help="Keep the COCO segmentations as the true masks."),
    ] = False,
    forecast: Annotated[
        bool,
        typer.Option(
            "--forecast", help="Make nothing; say what time and quality to expect of the boxes."
        ),
    ] = False,
    url: Url = "http://localhost:8080",
    api_key: ApiKey = "",
    state: State = None,
    as_json: Json = False,
) -> None:
    """Make a campaign from a project with boxes, a COCO file or an Open Images CSV.

    A file's boxes become a Label Studio project first. What of it cannot be used is printed before
    anything is made. An interrupted command may be given again. No round is opened:
    `remask campaign advance` does that.
    """
    import time
    from dataclasses import replace

    from remask_campaigns.create import create_campaign
    from remask_campaigns.project_description import check_name, describe, title_of
    from remask_campaigns.sources.upload import ImagePlace, check_images, import_source
    from remask_storage.campaign import Campaign, classes_of

    check_name(name)
    if sum(source is not None for source in (project, coco, open_images)) != 1:
        raise InputError("give one of `--project`, `--coco` and `--open-images`")
    if with_truth and coco is None:
        raise InputError("`--truth` needs the segmentations of `--coco`")
    long_px, short_px = _size(min_size)
    left = LeftOutNotes(as_json=as_json)
    place = ImagePlace(images, image_prefix)
    place.check()
    found = _file_images(coco, open_images, class_descriptions, images, left.add)
    settings = Campaign(
        name=name,
        source_project=project or 0,
        created_at=time.time(),
        rounds=rounds,
        clicks_per_round=clicks,
        long_side_px=long_px,
        short_side_px=short_px,
        mode=mode.value,
        model=model,
        per_task=per_task,
        policies=_policies(policy or ()),
        crop=crop,
    )

    def check_instances(instances: Sequence[CampaignInstance]) -> None:
        left.tell()
        _check_policies(settings, set(classes_of(instances)))

    if found is not None:
        left.tell()
        found = check_images(found, place, wants=settings.wants, left_out=left.add)
        left.tell()
        _check_policies(settings, {box.label for image in found for box in image.boxes})
    if forecast:
        boxes = (
            _boxes_of_project(settings, left, state=state, url=url, api_key=api_key)
            if found is None
            else _boxes_of_file(found)
        )
        _forecast(boxes, rounds=rounds, state=state, as_json=as_json)
        return
    with (
        open_session(None, state=state, url=url, api_key=api_key) as session,
        open_image_source(state, url, api_key) as source,
    ):
        if name in {campaign.name for campaign in session.store.campaigns()}:
            raise WrongState(f"`name` must be new; there is a campaign {name!r}")
        if found is not None:
            source_project = import_source(
                session.studio,
                title_of(name, "boxes"),
                found,
                place=place,
                description=describe(settings, "boxes"),
                on_progress=session.on_progress,
                left_out=left.add,
            )
            settings = replace(settings, source_project=source_project)
        instances = create_campaign(
            session.store,
            session.studio,
            settings,
            shape_of=lambda image: source.fetch(image, task_id=None).shape_hw,
            pixels_of=pixels_from(source),
            on_progress=session.on_progress,
            left_out=left.add,
            on_found=check_instances,
            truth_images=found if with_truth and found is not None else (),
        )
        truths = len(session.store.truths(name))
    _show(settings, instances, truths, left, as_json=as_json)


def _boxes_of_file(images: Sequence[SourceImage]) -> list[Sized]:
    from remask_ranking.first_forecast import Sized

    found = []
    for image in images:
        for box in image.boxes:
            in_px = None if image.shape_hw is None else box.place.to_box(image.shape_hw)
            longer = None if in_px is None else max(in_px.width, in_px.height)
            found.append(Sized(box.label, longer))
    return found


def _boxes_of_project(
    campaign: Campaign, left: LeftOutNotes, *, state: str | None, url: str, api_key: str
) -> list[Sized]:
    from remask_campaigns.create import instances_of_source
    from remask_ranking.first_forecast import Sized

    with (
        open_session(None, state=state, url=url, api_key=api_key) as session,
        open_image_source(state, url, api_key) as source,
    ):
        instances = instances_of_source(
            session.studio,
            campaign,
            shape_of=lambda image: source.fetch(image, task_id=None).shape_hw,
            on_progress=session.on_progress,
            left_out=left.add,
        )
    left.tell()
    return [
        Sized(instance.label, max(instance.box.width, instance.box.height))
        for instance in instances
    ]


def _forecast(boxes: Sequence[Sized], *, rounds: int, state: str | None, as_json: bool) -> None:
    """Print what to expect of a campaign with these boxes."""
    from remask_ranking.first_forecast import forecast_campaign, past_visits
    from remask_reports.page import Column, Table

    with open_campaigns(state) as store:
        past = past_visits(store)
    found = forecast_campaign(boxes, rounds=rounds, past=past)
    if as_json:
        print_json(found)
        return
    typer.echo(
        f"{found.instances} instances, {rounds} rounds: about {found.visits:.0f} visits in "
        f"{found.hours.words(digits=1)} hours of work, from a mean IoU of "
        f"{found.iou_first.words(digits=2)} to {found.iou.words(digits=2)}"
    )
    for sentence in found.basis:
        typer.echo(sentence)
    typer.echo("")
    print_table(
        Table(
            columns=tuple(map(Column, ("class", "instances", "hours"))),
            rows=tuple((label, count, f"{hours:.1f}") for label, count, hours in found.classes),
        )
    )
    print_table(
        Table(
            columns=tuple(map(Column, ("longer side", "instances", "mean IoU at the end"))),
            rows=tuple((size, count, iou.words(digits=2)) for size, count, iou in found.sizes),
        )
    )


def _file_images(
    coco: Path | None,
    open_images: Path | None,
    class_descriptions: Path | None,
    folder: Path | None,
    left_out: OnLeftOut,
) -> list[SourceImage] | None:
    """Return the images of the file that was given; None where it was a project."""
    from remask_campaigns.sources.coco import read_coco
    from remask_campaigns.sources.open_images import read_class_descriptions, read_open_images

    if coco is not None:
        return read_coco(coco, left_out=left_out)
    if open_images is not None:
        names = None if class_descriptions is None else read_class_descriptions(class_descriptions)
        return read_open_images(open_images, class_names=names, folder=folder, left_out=left_out)
    return None


def _size(text: str) -> tuple[int, int]:
    """Return the longer and the shorter side of `80x40`."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.strip().isdigit() for side in sides):
        raise InputError(f"`--min-size` must be two whole numbers such as 80x40; got {text!r}")
    short, long = sorted(int(side) for side in sides)
    return long, short


def _policies(given: Sequence[str]) -> dict[str, str]:
    """Return class to Markdown; what holds for every class stands under the empty class."""
    policies: dict[str, str] = {}
    for policy in given:
        classes, is_named, file = policy.rpartition("=")
        if not Path(file).is_file():
            raise InputError(f"`--policy` must name a text file; there is none at {file}")
        text = read_text(Path(file), name="--policy")
        for label in classes.split(",") if is_named else [""]:
            policies[label.strip()] = text
    return policies


def _check_policies(campaign: Campaign, classes: set[str]) -> None:
    """Refuse a policy for a class that no box has: it would never be shown."""
    if unknown := sorted(set(campaign.policies) - classes - {""}):
        raise InputError(
            f"`--policy` must name classes that boxes have: {', '.join(sorted(classes))}; "
            f"got {', '.join(unknown)}"
        )


def _show(
    campaign: Campaign,
    instances: Sequence[CampaignInstance],
    truths: int,
    left: LeftOutNotes,
    *,
    as_json: bool,
) -> None:
    import msgspec

    from remask_storage.campaign import classes_of

    classes = classes_of(instances)
    images = len({instance.whole_image for instance in instances})
    crops = sum(instance.whole is not None for instance in instances)
    if as_json:
        answer = {
            "campaign": campaign.name,
            "source_project": campaign.source_project,
            "instances": len(instances),
            "images": images,
            "crops": crops,
            "classes": classes,
            "truths": truths,
            "left_out": left.counts,
        }
        typer.echo(msgspec.json.encode(answer))
        return
    typer.echo(
        f"Campaign {campaign.name}: {len(instances)} instances of {len(classes)} classes on "
        f"{images} images, from project {campaign.source_project}"
    )
    if crops:
        typer.echo(f"Shown in a crop: {crops}")
    if truths:
        typer.echo(f"Truths: {truths}")
    left.tell()
    typer.echo(f"Next: remask campaign advance {campaign.name}")
