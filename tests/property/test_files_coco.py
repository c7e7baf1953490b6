"""Whatever stands in a COCO file, every reader of it gives an answer or an `InputError`."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remask_campaigns.sources.coco import read_coco
from remask_core.errors import InputError
from remask_core.left_out import LeftOut
from remask_evaluation.coco import read_scored
from remask_evaluation.datasets import open_set

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.sampled_from(["", "0", "1", "\ud800", "a\0b", [], {}, [[]], [[1, 2, 3, 4]], "x" * 9000])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
RECORDS = ["images", "annotations", "categories"]
FIELDS = ["id", "image_id", "category_id", "segmentation", "iscrowd", "bbox", "area", "score"]
PLACES = st.one_of(
    st.tuples(st.just("annotations"), st.integers(0, 2), st.sampled_from(FIELDS)),
    st.tuples(
        st.just("images"), st.just(0), st.sampled_from(["id", "height", "width", "file_name"])
    ),
    st.tuples(st.just("categories"), st.just(0), st.sampled_from(["id", "name"])),
    st.tuples(st.sampled_from(RECORDS), st.just(0)),
    st.tuples(st.sampled_from([*RECORDS, "info"])),
)
ANNOTATION = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 0.5}
DOCUMENT: dict[str, Any] = {
    "info": {},
    "images": [{"id": 1, "height": 20, "width": 30, "file_name": "a.png"}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        ANNOTATION | {"id": 1, "segmentation": [[2, 2, 20, 3, 9, 15]]},
        ANNOTATION | {"id": 2, "segmentation": {"size": [20, 30], "counts": [9, 3, 588]}},
        ANNOTATION | {"id": 3, "segmentation": [[2, 2, 9, 9]], "iscrowd": 1},
    ],
}


@given(st.lists(st.tuples(PLACES, st.none() | st.tuples(JUNK)), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_junk_is_used_left_out_by_name_or_refused_never_a_crash(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], tuple[object] | None]]
) -> None:
    """None takes a field away, anything else takes its place."""
    document = copy.deepcopy(DOCUMENT)
    for place, value in changes:
        holder: Any = document
        try:
            for step in place[:-1]:
                holder = holder[step]
            if value is None:
                del holder[place[-1]]
            else:
                holder[place[-1]] = value[0]
        except (KeyError, IndexError, TypeError):
            continue
    truth, found = tmp_path / "in.json", tmp_path / "found.json"
    truth.write_text(json.dumps(document))
    found.write_text(json.dumps(document.get("annotations", [])))
    left: list[LeftOut] = []
    with suppress(InputError):
        read_coco(truth, left_out=left.append)
    with suppress(InputError):
        open_set(truth, left_out=left.append)
    with suppress(InputError):
        read_scored(truth, found, left_out=left.append)
    assert all(thing.name and thing.reason for thing in left)
