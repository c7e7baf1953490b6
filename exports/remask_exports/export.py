"""Exporting a Label Studio export to another format, in two passes and with little memory.

The first pass looks at regions but decodes no mask: it finds the classes, the images and their
names, and which instances are wanted. The second decodes and encodes those, in as many processes
as are asked for, and writes them in one, in the order of the source.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from remask_core.errors import InputError
from remask_core.parallel import map_in_order
from remask_exports.annotations import ImageLookup
from remask_exports.batches import Job, ShownImages, encode_batch, look_at, task_batches
from remask_exports.formats.writer import Format, Writer, number_classes
from remask_exports.image_keys import ImageKeys, config_beside, read_image_tags
from remask_exports.image_names import name_images
from remask_exports.manifest import LeftOutLog, Manifest, RenamedLog, digest_of, digests_of
from remask_exports.selection import Selection
from remask_label_config.labelling_config import ImageTag
from remask_ranking.promises import read_promise
from remask_ranking.ranks import read_ranks

__all__ = ["export"]


def export(
    source: Path,
    form: Format[Any],
    *,
    out: Path,
    now: datetime | None = None,
    selection: Selection | None = None,
    ranks: Path | None = None,
    config: Path | None = None,
    guaranteed: Path | None = None,
    processes: int = 1,
    on_instance: Callable[[], None] = lambda: None,
) -> Manifest:
    """Write the instances of `source` to `out`, and return the manifest that lies there, too.

    Args:
        source: Label Studio's JSON export: one array of tasks.
        form: `COCO` or another format.
        out: Folder that does not exist yet, or is empty. It appears when the export is complete.
        now: For the manifest; None leaves the time out.
        selection: What to export; None: everything.
        ranks: CSV of `remask rank apply`; gives `predicted_iou` and `rank`.
        config: Labelling configuration (XML) of the project, which says on which image of a task a
            mask lies; None for the one beside `source`, if there is one.
        guaranteed: File of `remask rank guarantee`: only the masks that it promises; its sentence
            stands in the manifest.
        processes: How many decode and encode; the files do not depend on it. See `map_in_order`
            for what more than one asks of the caller.
        on_instance: Called after each instance.

    Raises:
        NotFound: A file does not exist.
        InputError: A file cannot be read, `out` is not empty, or ranks are needed and not given.
        Unavailable: One of several processes died.
    """
    wanted = selection or Selection()
    promise = None if guaranteed is None else read_promise(guaranteed)
    if promise is not None:
        wanted = replace(wanted, promised=frozenset(promise.instances))
    if wanted.needs_ranks and ranks is None:
        raise InputError("`ranks` must be given to select by rank or by predicted IoU")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"`out` must be a new or empty folder; {out} holds something")
    known = {} if ranks is None else read_ranks(ranks)
    beside = config_beside(source)
    if config is None and beside.is_file():
        config = beside
    tags = {} if config is None else read_image_tags(config)
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        job = Job(form.encode, wanted, known)
        plan = _plan(source, job)
        images = plan.images(tags)
        job = replace(job, within=plan.within, images=images)
        numbered = number_classes(plan.classes, known=form.known)
        writer = form.new_writer(part, numbered)
        run = _write(source, job, writer, part, processes, on_instance)
        manifest = Manifest(
            format=form.name,
            made_at=None if now is None else now.isoformat(timespec="seconds"),
            source=digest_of(source),
            ranks=None if ranks is None else digest_of(ranks),
            config=None if config is None else digest_of(config),
            assumed_images={tag: sorted(keys) for tag, keys in sorted(run.assumed.items())},
            selection=_conditions(wanted),
            guarantee=None if promise is None else promise.sentence,
            tasks=plan.tasks,
            images=len(run.images),
            instances=run.classes.total(),
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


@dataclass(slots=True)
class _Plan:
    """What the first pass finds."""

    tasks: int = 0
    classes: set[str] = field(default_factory=set)
    within: frozenset[str] | None = None
    tags: set[str] = field(default_factory=set)
    shown: list[ShownImages] = field(default_factory=list)

    def images(self, tags: Mapping[str, ImageTag]) -> ImageLookup:
        """Return how images are found and named; `tags` are those of the configuration."""
        keys = ImageKeys(tags, tuple(sorted(self.tags)))
        original: dict[str, str] = {}
        addresses: set[str] = set()
        for task in self.shown:
            images = set(keys.every_address(task.addresses, task.drawn_on))
            addresses |= images
            if task.original is not None:
                original.update(dict.fromkeys(images, task.original))
        return ImageLookup(keys, name_images(addresses, original=original))


@dataclass(slots=True)
class _Run:
    """What the second pass counts."""

    left_out: Mapping[str, int]
    images: set[str] = field(default_factory=set)
    classes: Counter[str] = field(default_factory=Counter)
    assumed: dict[str, set[str]] = field(default_factory=dict)


def _plan(source: Path, job: Job) -> _Plan:
    # A tenth of the work: sending it around would take as long.
    plan = _Plan()
    ranked: list[tuple[int, str]] = []
    for batch in task_batches(source):
        seen = look_at(job, batch)
        plan.tasks += seen.tasks
        plan.classes |= seen.classes
        ranked += seen.ranked
        plan.tags |= seen.tags
        plan.shown += seen.shown
    plan.within = job.wanted.within_percent(ranked)
    return plan


def _write(
    source: Path,
    job: Job,
    writer: Writer[Any],
    folder: Path,
    processes: int,
    on_instance: Callable[[], None],
) -> _Run:
    log = LeftOutLog(folder)
    renamed = RenamedLog(folder, job.images.names)
    run = _Run(left_out=log.counts)
    batches = task_batches(source)
    try:
        for part in map_in_order(encode_batch, batches, shared=job, processes=processes):
            for left_out in part.left_out:
                log.add(left_out)
            for group in part.groups:
                writer.add(group.encoded)
                if group.image.file_name not in run.images:
                    renamed.add(group.image)
                run.images.add(group.image.file_name)
                run.classes.update(group.labels)
                if group.image.assumed is not None:
                    tag, key = group.image.assumed
                    run.assumed.setdefault(tag, set()).add(key)
                for _ in group.labels:
                    on_instance()
    finally:
        writer.close()
        log.close()
        renamed.close()
    return run


def _conditions(selection: Selection) -> dict[str, object]:
    asked = {name: value for name, value in asdict(selection).items() if value}
    if selection.promised is not None:
        asked["promised"] = len(selection.promised)
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in asked.items()
    }
