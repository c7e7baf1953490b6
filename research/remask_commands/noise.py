"""`remask noise`: Make, measure and study label noise."""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from remask_commands.noise_pictures import EXAMPLE as PICTURES_EXAMPLE
from remask_commands.noise_pictures import pictures
from remask_core.errors import InputError
from remask_core.left_out import LeftOutCounts
from remask_terminal.options import EngineName, Json, ModelDevice, RayAddress, writable
from remask_terminal.printing import print_json, print_left_out, print_table
from remask_terminal.progress import progress_bars

if TYPE_CHECKING:
    from remask_noise.operations import NoiseLevel, Operation
    from remask_worker.calls import Engine
    from remask_worker.settings import WorkerSettings

__all__ = ["app"]

app = typer.Typer(help="Make, measure and study label noise.", no_args_is_help=True)

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all chance.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Processes; the result is the same. All cores if absent."),
]


class Level(str, Enum):
    """How much noise, as published."""

    easy = "easy"
    medium = "medium"
    hard = "hard"


class OneOperation(str, Enum):
    """What is done to every mask."""

    dilate = "dilate"
    erode = "erode"
    open = "open"
    scale = "scale"
    localise = "localise"
    approximate = "approximate"


_OPERATIONS: dict[OneOperation, Operation] = {
    OneOperation.dilate: "dilation",
    OneOperation.erode: "erosion",
    OneOperation.open: "opening",
    OneOperation.scale: "scale",
    OneOperation.localise: "localisation",
    OneOperation.approximate: "approximation",
}


@app.callback()
def group() -> None:
    """Make, measure and study label noise."""


@app.command(
    epilog="Example: `remask noise apply instances_train.json --level medium --seed 1 "
    "--out noisy.json`"
)
def apply(
    annotations: Annotated[
        Path, typer.Argument(help="COCO or LVIS JSON file, or a Cityscapes folder (gtFine).")
    ],
    out: Annotated[Path, typer.Option("--out", help="COCO JSON file to write.")],
    level: Annotated[
        Level | None, typer.Option("--level", help="Published level; the options below change it.")
    ] = None,
    operation: Annotated[
        OneOperation | None,
        typer.Option(
            "--operation",
            help="Do this to every mask, and leave classes alone; as strong as level.",
        ),
    ] = None,
    class_share: Annotated[
        float | None, typer.Option(help="Share of instances that get a class drawn anew.")
    ] = None,
    spatial_share: Annotated[
        float | None, typer.Option(help="Share of each of the three spatial operations, up to 1/3.")
    ] = None,
    kernel_px: Annotated[
        int | None, typer.Option(help="Side of the kernel that dilates or erodes.")
    ] = None,
    sigma_px: Annotated[
        float | None, typer.Option(help="Standard deviation of a contour vertex's shift.")
    ] = None,
    tolerance_px: Annotated[
        float | None, typer.Option(help="How far a simplified outline may move.")
    ] = None,
    seed: Seed = 1,
    asymmetric: Annotated[
        bool, typer.Option("--asymmetric", help="Confuse classes within their supercategory only.")
    ] = False,
    as_published: Annotated[
        bool,
        typer.Option(
            "--as-published",
            help="As the authors' code: bbox and area stay, a class may be drawn again.",
        ),
    ] = False,
    holes: Annotated[
        bool, typer.Option("--holes", help="Keep holes, which the published operations fill.")
    ] = False,
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Write a copy of a data set with noisy classes and outlines.

    The same seed gives the same bytes, on any number of processes.
    """
    from remask_noise.annotation import NoiseOptions
    from remask_noise.apply import apply_noise

    wanted = {
        "class_share": class_share,
        "spatial_share": spatial_share,
        "kernel_px": kernel_px,
        "sigma_px": sigma_px,
        "tolerance_px": tolerance_px,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    options = NoiseOptions(
        _level(level, given) if operation is None else _strength(operation, level, given),
        seed,
        asymmetric=asymmetric,
        as_published=as_published,
        holes=holes,
        operation=None if operation is None else _OPERATIONS[operation],
    )
    with progress_bars() as on_progress:

        def watch(done: int, total: int) -> None:
            # Bytes of one source, and files of another.
            on_progress(f"{annotations.name}, %", 100 * done // max(total, 1), 100)

        counts = apply_noise(annotations, out, options, jobs=_jobs(jobs), watch=watch)
    if as_json:
        print_json(counts)
        return
    typer.echo(f"{out}: {counts.annotations} annotations, {counts.class_noise} with another class")
    for name, count in counts.operations.items():
        if count or operation is None:
            typer.echo(f"  {name:14}{count}")
    for count, words in (
        (counts.no_mask, "had no mask to change"),
        (counts.short_outlines, "outlines of fewer than three points were left out"),
        (counts.empty_before, "masks had no pixel and stayed so"),
        (counts.emptied, "masks lost all their pixels"),
        (counts.id_zero, "annotation has the id 0, which pycocotools takes for unmatched"),
    ):
        if count:
            typer.echo(f"  note: {count} {words}")
    _tell_kept(counts.left_out)


@app.command(
    epilog="Example: `remask noise estimate gold.json annotator.json --report estimate.html`"
)
def estimate(
    reference: Annotated[Path, typer.Argument(help="COCO JSON file that is trusted.")],
    noisy: Annotated[
        Path, typer.Argument(help="COCO JSON file of the same objects, with the same ids.")
    ],
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Compare the masks of so many objects at most.")
    ] = 500,
    report: Annotated[
        Path | None, typer.Option("--report", callback=writable, help="HTML file to write as well.")
    ] = None,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Estimate which noise, and how much, makes masks differ from their references."""
    import shlex
    import sys

    import numpy as np

    from remask_noise.estimate.fit import estimate_noise
    from remask_noise.estimate.pairs import read_pairs
    from remask_noise.estimate.report import page_of, sentences_of

    rng = np.random.default_rng(seed)
    left_out = LeftOutCounts()
    found = read_pairs(reference, noisy, limit=limit, rng=rng, left_out=left_out.add)
    print_left_out(left_out)
    with progress_bars() as on_progress:
        result = estimate_noise(found, rng=rng, watch=partial(on_progress, "masks"))
    if report is not None:
        made_by = f"Made by: remask {shlex.join(sys.argv[1:])}"
        _write(report, page_of(result, made_by=made_by).to_html())
    if as_json:
        print_json(result)
        return
    for sentence in sentences_of(result):
        typer.echo(sentence)
    if report is not None:
        typer.echo(f"Report: {report}")


app.command(epilog=PICTURES_EXAMPLE)(pictures)


class Prompted(str, Enum):
    """What the model is told about an object."""

    BOX = "box"
    CENTER = "center"


@app.command(
    epilog="Example: `remask noise weak instances_val.json --images val2017 --prompt box "
    "--model grabcut --out weak.json`"
)
def weak(
    annotations: Annotated[Path, typer.Argument(help="COCO or LVIS JSON file.")],
    images: Annotated[Path, typer.Option("--images", help="Folder of its images.")],
    out: Annotated[Path, typer.Option("--out", help="COCO JSON file to write.")],
    prompt: Annotated[
        Prompted, typer.Option("--prompt", help="The true mask's box, or a click in its middle.")
    ] = Prompted.BOX,
    model: Annotated[
        str, typer.Option("--model", help="Model that makes the masks; see `remask models list`.")
    ] = "convnet",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights file, if not the usual one.")
    ] = None,
    model_dir: Annotated[
        Path | None,
        typer.Option("--model-dir", envvar="MODEL_DIR", help="Folder of weights."),
    ] = None,
    device: ModelDevice = "cpu",
    engine: EngineName = None,
    ray_address: RayAddress = None,
    class_share: Annotated[
        float, typer.Option(help="Share of annotations that get another class.")
    ] = 0.0,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Write a copy of a data set whose masks a model made from boxes or points.

    COCO-WAN's levels: easy is `--prompt box`, medium `--prompt center`, hard `--prompt center
    --class-share 0.4`, each with `--model sam_vit_h`.
    """
    from remask_noise.weak import make_weak
    from remask_worker.settings import WorkerSettings

    worker = _open_worker(
        WorkerSettings(
            model=model,
            weights=None if weights is None else str(weights),
            model_dir=None if model_dir is None else str(model_dir),
            device=device,
        ),
        engine=engine,
        ray_address=ray_address,
    )
    try:
        with progress_bars() as on_progress:
            counts = make_weak(
                annotations,
                images,
                out,
                engine=worker,
                prompt=prompt.value,
                class_share=class_share,
                seed=seed,
                watch=partial(on_progress, "masks"),
            )
    finally:
        worker.close()
    if as_json:
        print_json(counts)
        return
    made = counts.annotations - counts.no_mask
    typer.echo(f"{out}: {made} masks on {counts.images} images by {counts.model_version}")
    for count, words in (
        (counts.class_noise, "annotations got another class"),
        (counts.no_mask, "annotations had no mask to take a prompt from and kept what they had"),
        (counts.emptied, "masks have no pixel"),
    ):
        if count:
            typer.echo(f"  note: {count} {words}")
    _tell_kept(counts.left_out)


def _open_worker(
    settings: WorkerSettings, *, engine: str | None, ray_address: str | None
) -> Engine:
    """Return the engine that the options name: a worker on this machine, or a cluster."""
    from remask_worker.child_engine import ChildEngine
    from remask_worker.cluster.connection import check_model
    from remask_worker.cluster.engine import RayEngine, check_addresses

    if engine not in (None, "child", "ray"):
        raise InputError(f"`--engine` must be child or ray; got {engine!r}")
    if engine != "ray":
        return ChildEngine(settings)
    addresses = check_addresses(ray_address or "")
    check_model(addresses[0], settings.model)
    return RayEngine(addresses)


class Size(str, Enum):
    """How large a study is."""

    DEFAULT = "default"
    QUICK = "quick"
    LARGE = "large"


@app.command(
    epilog="Example: `remask noise study instances_train.json --images train2017 --out study`"
)
def study(
    annotations: Annotated[Path, typer.Argument(help="COCO or LVIS JSON file, taken for clean.")],
    images: Annotated[Path, typer.Option("--images", help="Folder of its images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for rows and report.")],
    size: Annotated[
        Size, typer.Option("--size", help="quick: minutes; large: all of COCO on a GPU.")
    ] = Size.DEFAULT,
    quick: Annotated[bool, typer.Option("--quick", help="The same as --size quick.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=3, help="Draw so many images at most.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", min=2, help="Keep so many of the commonest classes.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Repeat everything with so many seeds.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first of the seeds.")] = 0,
    device: ModelDevice = "cpu",
    as_json: Json = False,
) -> None:
    """Train a small model on clean and on noisy labels, and test all of them on clean ones.

    A run that was stopped goes on where it stopped.
    """
    import shlex
    import sys
    from dataclasses import replace

    from remask_noise.study.data import read_study
    from remask_noise.study.report import csv_of, page_of, table_of, verdicts_of
    from remask_noise.study.run import CONFIGS, run_study, summarise

    config = CONFIGS["quick" if quick else size.value]
    config = replace(
        config,
        images=limit or config.images,
        classes=classes or config.classes,
        seeds=tuple(range(seed, seed + (seeds or len(config.seeds)))),
        heads=replace(config.heads, device=device),
    )
    left_out = LeftOutCounts()
    data = read_study(
        annotations,
        images,
        n_images=config.images,
        n_classes=config.classes,
        seed=seed,
        left_out=left_out.add,
    )
    print_left_out(left_out)
    with progress_bars() as on_progress:
        watch = partial(on_progress, "images and trainings")
        rows = run_study(data, config, out / "rows.jsonl", watch=watch)
    summaries = summarise(rows)
    made_by = f"Made by: remask {shlex.join(sys.argv[1:])}"
    _write(out / "report.html", page_of(summaries, data, made_by=made_by).to_html())
    _write(out / "rows.csv", csv_of(rows))
    if as_json:
        print_json(summaries)
        return
    print_table(table_of(summaries))
    for verdict in verdicts_of(summaries):
        typer.echo(verdict)
    typer.echo(f"Report: {out / 'report.html'}")


def _tell_kept(left_out: LeftOutCounts) -> None:
    for line in left_out.lines(what="kept as they are"):
        typer.echo(f"  note: {line}")


def _write(path: Path, text: str) -> None:
    from remask_core.errors import InputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} must be a writable file: {error}") from error


def _level(level: Level | None, changes: dict[str, float]) -> NoiseLevel:
    from dataclasses import fields, replace

    from remask_core.errors import InputError
    from remask_noise.operations import LEVELS, NoiseLevel

    if level is not None:
        return replace(LEVELS[level.value], **changes)  # type: ignore[arg-type]
    names = [field.name for field in fields(NoiseLevel)]
    if missing := [name for name in names if name not in changes]:
        flags = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise InputError(f"without --level all of its parts are needed; missing: {flags}")
    return NoiseLevel(**changes)  # type: ignore[arg-type]


def _strength(
    operation: OneOperation, level: Level | None, changes: dict[str, float]
) -> NoiseLevel:
    """Return how strong one operation on every mask is; classes stay unless a share is given."""
    from remask_core.errors import InputError

    if "spatial_share" in changes:
        raise InputError("`--operation` changes every mask; it takes no `--spatial-share`")
    part = {
        OneOperation.localise: "sigma_px",
        OneOperation.approximate: "tolerance_px",
    }.get(operation, "kernel_px")
    if level is None and part not in changes:
        flag = "--" + part.replace("_", "-")
        raise InputError(
            f"`--operation {operation.value}` needs `--level` or `{flag}`; got neither"
        )
    return _level(level or Level.easy, {"class_share": 0.0, "spatial_share": 0.0, **changes})


def _jobs(jobs: int | None) -> int:
    import os

    return jobs or os.cpu_count() or 1
