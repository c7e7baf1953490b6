"""From a Label Studio export to a folder in another format, in two passes and with flat memory.

The first pass looks at regions but decodes no mask: it finds the classes and settles which
instances are wanted. The second decodes and writes those, one after the other.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from remask_core.errors import InputError, NotFound
from remask_exports.annotations import ExportedTask, Found, LeftOut, decode_task, instances_of
from remask_exports.json_array import array_elements
from remask_exports.manifest import LeftOutLog, Manifest, digest_of, digests_of
from remask_exports.selection import Ranks, Selection, read_ranks
from remask_exports.writing import Categories, NewWriter, Writer, number_classes

__all__ = ["export", "read_tasks"]


def export(
    source: Path,
    new_writer: NewWriter,
    *,
    out: Path,
    form: str,
    now: datetime,
    selection: Selection | None = None,
    ranks: Path | None = None,
    categories: Categories | None = None,
    on_instance: Callable[[], None] = lambda: None,
) -> Manifest:
    """Write the instances of `source` to `out`, and return the manifest that lies there, too.

    Args:
        source: Label Studio's JSON export: one array of tasks.
        new_writer: `CocoWriter` or another; makes the writer of the format.
        out: Folder that does not exist yet, or is empty. It appears when the export is complete.
        form: Name of the format, for the manifest.
        now: For the manifest.
        selection: What to export; None: everything.
        ranks: CSV of `remask rank apply`; gives `predicted_iou` and `rank`.
        categories: Ids that classes had before and shall keep.
        on_instance: Called after each instance.

    Raises:
        NotFound: A file does not exist.
        InputError: A file cannot be read, `out` is not empty, or ranks are needed and not given.
    """
    wanted = selection or Selection()
    if wanted.needs_ranks and ranks is None:
        raise InputError("`ranks` must be given to select by rank or by predicted IoU")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"`out` must be a new or empty folder; {out} holds something")
    known = {} if ranks is None else read_ranks(ranks)
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        plan = _plan(source, wanted, known)
        numbered = number_classes(plan.classes, known=categories)
        run = _write(source, plan, new_writer(part, numbered), part, known, on_instance)
        manifest = Manifest(
            format=form,
            made_at=now.isoformat(timespec="seconds"),
            source=digest_of(source),
            ranks=None if ranks is None else digest_of(ranks),
            selection=_conditions(wanted),
            tasks=plan.tasks,
            images=run.images,
            instances=run.instances,
            classes=dict(sorted(run.classes.items())),
            categories=dict(numbered),
            left_out=dict(sorted(run.left_out.items())),
            files=digests_of(part),
        )
        manifest.write(part)
        if out.exists():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise InputError(f"`out` must be writable: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def read_tasks(source: Path) -> Iterator[ExportedTask | LeftOut]:
    """Yield the tasks of a Label Studio export; one that cannot be understood is left out.

    Raises:
        NotFound: There is no such file.
        InputError: It is not a JSON array of objects.
    """
    try:
        with source.open("rb") as file:
            for number, text in enumerate(array_elements(file), start=1):
                try:
                    yield decode_task(text)
                except InputError as error:
                    yield LeftOut(f"#{number}", "unreadable-task", str(error))
    except FileNotFoundError as error:
        raise NotFound(f"no Label Studio export at {source}") from error
    except IsADirectoryError as error:
        raise InputError(f"`source` must be a JSON file; {source} is a folder") from error


@dataclass(slots=True)
class _Plan:
    """What the first pass settles."""

    wanted: Selection
    tasks: int = 0
    classes: set[str] = field(default_factory=set)
    within: set[str] | None = None


@dataclass(slots=True)
class _Run:
    """What the second pass counts."""

    left_out: Mapping[str, int]
    images: int = 0
    instances: int = 0
    classes: Counter[str] = field(default_factory=Counter)


def _plan(source: Path, wanted: Selection, ranks: Ranks) -> _Plan:
    plan = _Plan(wanted)
    ranked: list[tuple[int, str]] = []
    for task in read_tasks(source):
        plan.tasks += 1
        for one in [] if isinstance(task, LeftOut) else instances_of(task):
            if isinstance(one, LeftOut):
                continue
            plan.classes.add(one.label)
            rank = ranks.get(one.name)
            if rank is not None and wanted.refusal(one, rank) is None:
                ranked.append((rank.rank, one.name))
    plan.within = wanted.within_percent(ranked)
    return plan


def _write(
    source: Path,
    plan: _Plan,
    writer: Writer,
    folder: Path,
    ranks: Ranks,
    on_instance: Callable[[], None],
) -> _Run:
    log = LeftOutLog(folder)
    run = _Run(left_out=log.counts)
    last_image = ""
    try:
        for one in _chosen(source, plan, ranks):
            if isinstance(one, LeftOut):
                log.add(one)
                continue
            try:
                instance = one.decode()
            except InputError as error:
                log.add(LeftOut(one.name, "bad-mask", str(error)))
                continue
            rank = ranks.get(one.name)
            if rank is not None:
                instance = replace(instance, predicted_iou=rank.predicted_iou, rank=rank.rank)
            writer.add(instance)
            run.instances += 1
            run.classes[one.label] += 1
            run.images += one.image.key != last_image
            last_image = one.image.key
            on_instance()
    finally:
        writer.close()
        log.close()
    return run


def _chosen(source: Path, plan: _Plan, ranks: Ranks) -> Iterator[Found | LeftOut]:
    """Yield what is wanted, and everything else with the reason why it is not."""
    for task in read_tasks(source):
        if isinstance(task, LeftOut):
            yield task
            continue
        # Instances of one image must come one after the other.
        by_image: dict[str, list[Found]] = {}
        for one in instances_of(task):
            if isinstance(one, LeftOut):
                yield one
                continue
            reason = plan.wanted.refusal(one, ranks.get(one.name))
            if reason is None and plan.within is not None and one.name not in plan.within:
                reason = "rank"
            if reason is not None:
                yield LeftOut(one.name, f"not-selected: {reason}")
            else:
                by_image.setdefault(one.image.key, []).append(one)
        for together in by_image.values():
            yield from _of_one_size(together)


def _of_one_size(together: list[Found]) -> Iterator[Found | LeftOut]:
    """Yield the instances of an image whose sizes agree with the first one's."""
    shape_hw = together[0].image.shape_hw
    for one in together:
        if one.image.shape_hw == shape_hw:
            yield one
        else:
            detail = f"{one.image.shape_hw}, where another mask of the image has {shape_hw}"
            yield LeftOut(one.name, "other-size", detail)


def _conditions(selection: Selection) -> dict[str, object]:
    asked = {name: value for name, value in asdict(selection).items() if value}
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in asked.items()
    }
