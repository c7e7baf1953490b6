"""Masks straight from a Label Studio project, selected by the ranks that are published there.

Nothing is written: pages of tasks are read, and each wanted mask is decoded as it is asked for.
`export` writes files of a fetched project, and checks that it held still meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from remask_core.errors import InputError, NotFound
from remask_exports.annotations import ImageLookup, original_file_name
from remask_exports.batches import Batch, Job, encode_batch, look_at
from remask_exports.image_keys import ImageKeys
from remask_exports.image_names import name_images
from remask_exports.instances import Instance
from remask_exports.rank_columns import own_data, published_ranks
from remask_exports.selection import Selection
from remask_label_config.labelling_config import parse_image_tags
from remask_ranking.ranks import Rank, Ranks

__all__ = ["RankedProject", "pull_instances"]

_AT_ONCE = 50


class RankedProject(Protocol):
    """What is asked of Label Studio; see `remask_label_studio.client.Connection`."""

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and data of each of the project's tasks, in the order of the ids."""

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of tasks with their annotations, and how many tasks there are."""

    def label_config(self, project_id: int) -> str:
        """Return the labelling configuration, XML."""


def pull_instances(
    connection: RankedProject,
    project_id: int,
    *,
    selection: Selection | None = None,
    on_page: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[Instance]:
    """Yield the wanted instances of a project, in the order of its tasks.

    What has no mask, or none that can be read, is passed over; an export lists it with the reason.
    A share by rank (`top_percent`) takes two passes over the project, anything else one.

    Args:
        connection: To Label Studio.
        project_id: Label Studio's number.
        selection: Which instances; None: all.
        on_page: Called with the tasks so far and in all, in each pass.

    Raises:
        NotFound: There is no such project.
        InputError: The selection needs ranks, and none are published in the project.
        Unavailable: Label Studio does not answer.
    """
    wanted = selection or Selection()
    xml = connection.label_config(project_id)
    keys = ImageKeys({tag.name: tag for tag in parse_image_tags(xml)})
    ranks, images = _known(connection, project_id, keys)
    if wanted.needs_ranks and not ranks:
        raise InputError(
            f"project {project_id} must have published ranks to select by them; it has none. "
            f"`remask rank publish --project {project_id} --ranks ranks.csv` writes them"
        )
    job = Job(encode=tuple, wanted=wanted, ranks=ranks, images=images)
    if wanted.top_percent is not None or wanted.bottom_percent is not None:
        ranked = [
            place
            for batch in _batches(connection, project_id, on_page)
            for place in look_at(job, batch).ranked
        ]
        job = replace(job, within=wanted.within_percent(ranked))
    for batch in _batches(connection, project_id, on_page):
        for group in encode_batch(job, batch).groups:
            yield from group.encoded


def _known(
    connection: RankedProject, project_id: int, keys: ImageKeys
) -> tuple[Ranks, ImageLookup]:
    """Return the published ranks, and how the project's images are found and named."""
    ranks: dict[str, Rank] = {}
    addresses: set[str] = set()
    original: dict[str, str] = {}
    for _, published in connection.task_data(project_id):
        ranks.update(published_ranks(published))
        data = own_data(published)
        shown = set(keys.every_address(data, keys.tags))
        addresses |= shown
        name = original_file_name(data)
        if name is not None:
            original.update(dict.fromkeys(shown, name))
    return ranks, ImageLookup(keys, name_images(addresses, original=original))


def _batches(
    connection: RankedProject, project_id: int, on_page: Callable[[int, int], None]
) -> Iterator[Batch]:
    seen, number = 0, 1
    while True:
        try:
            tasks, total = connection.task_page(project_id, page=number, page_size=_AT_ONCE)
        except NotFound:
            if number == 1:
                raise
            return
        if tasks:
            yield Batch(seen + 1, [_text(task) for task in tasks])
        seen, number = seen + len(tasks), number + 1
        on_page(seen, total)
        if seen >= total or not tasks:
            return


def _text(task: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(task)
