"""Whatever is posted: an answer or an error in words, never anything else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from editor_model import CONFIG, Rig, toy_rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remask_core.errors import InputError, RemaskError
from remask_label_config import (
    decode_predict,
    decode_setup,
    decode_webhook,
    parse_labelling_config,
)
from remask_label_config.regions import read_regions

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
NUMBER = st.one_of(
    *[st.floats(-50, 150)] * 5,
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    JSON,
)


def keyed(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Dictionaries with some of the keys, and now and then nonsense under them."""
    sometimes = {key: st.one_of(*[part] * 12, JSON) for key, part in parts.items()}
    return st.fixed_dictionaries({}, optional=sometimes)


LABELS = st.lists(st.sampled_from(["Cat", "Dog", "Bird"]), max_size=2)
VALUES = keyed(
    x=NUMBER,
    y=NUMBER,
    width=NUMBER,
    height=NUMBER,
    rotation=NUMBER,
    labels=LABELS,
    keypointlabels=LABELS,
    rectanglelabels=LABELS,
    brushlabels=LABELS,
    rle=st.lists(st.integers(0, 255), max_size=30),
    imageDataURL=st.text(max_size=10).map("data:image/png;base64,".__add__),
)
METAS = keyed(
    rid=st.sampled_from(["m", "n"]),
    n=st.integers(),
    pos=st.booleans(),
    t=NUMBER,
    step=st.integers(),
    box=keyed(x=NUMBER, y=NUMBER, width=NUMBER, height=NUMBER),
    prior=keyed(prediction=st.integers(), region=st.text(max_size=3), digest=st.text(max_size=3)),
)
REGIONS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "b", "c"]),
        "type": st.sampled_from(
            ["keypointlabels", "rectanglelabels", "brushlabels", "labels", "keypoint", "choices"]
        ),
        "value": VALUES,
        "to_name": st.just("image"),
    },
    optional={
        "meta": METAS,
        "parentID": st.just("m"),
        "is_positive": st.booleans(),
        "original_width": NUMBER,
        "original_height": NUMBER,
        "item_index": st.integers(-1, 2),
        "origin": st.sampled_from(["manual", "prediction"]),
    },
)
RESULTS = st.lists(REGIONS | JSON, max_size=4)
HOLDERS = st.lists(keyed(id=st.integers(0, 3), result=RESULTS), max_size=2)
TASKS = keyed(
    id=st.integers(0, 9),
    data=st.just({"image": "/a.png"}),
    annotations=HOLDERS,
    drafts=HOLDERS,
    predictions=HOLDERS,
)
BODIES = st.fixed_dictionaries(
    {"tasks": st.lists(TASKS, max_size=2), "label_config": st.just(CONFIG)},
    optional={"params": st.fixed_dictionaries({"context": st.none() | keyed(result=RESULTS)})},
)
PERCENT = st.floats(0, 100)
PROMPTS = st.one_of(
    *[
        st.fixed_dictionaries(
            {
                "id": st.sampled_from(["a", "b", "c"]),
                "type": st.just(kind),
                "value": st.fixed_dictionaries(
                    {"x": PERCENT, "y": PERCENT, "width": PERCENT, "height": PERCENT}
                    | {kind: st.sampled_from([["Cat"], ["Dog"]])}
                ),
                "to_name": st.just("image"),
            },
            optional={
                "meta": METAS,
                "parentID": st.just("m"),
                "is_positive": st.booleans(),
                "item_index": st.integers(0, 2),
                "origin": st.sampled_from(["manual", "prediction"]),
            },
        )
        for kind in ("keypointlabels", "rectanglelabels")
    ]
)
LIVE_BODIES = st.fixed_dictionaries(
    {
        "tasks": st.lists(
            st.fixed_dictionaries(
                {"id": st.just(1), "data": st.just({"image": "/a.png"})},
                optional={"drafts": HOLDERS, "predictions": HOLDERS, "annotations": HOLDERS},
            ),
            min_size=1,
            max_size=1,
        ),
        "label_config": st.just(CONFIG),
        "params": st.fixed_dictionaries(
            {
                "context": st.fixed_dictionaries(
                    {"result": st.lists(PROMPTS, min_size=1, max_size=5)}
                )
            }
        ),
    }
)
BATCH_BODIES = LIVE_BODIES.map(
    lambda body: {
        **body,
        "params": {"context": None},
        "tasks": [
            {
                **body["tasks"][0],
                "drafts": [{"id": 1, "result": body["params"]["context"]["result"]}],
            }
        ],
    }
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with toy_rig(tmp_path_factory.mktemp("fuzz")) as made:
        yield made


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES | LIVE_BODIES | BATCH_BODIES)
def test_a_strange_request_is_answered_or_refused_in_words(rig: Rig, body: dict[str, Any]) -> None:
    try:
        answers = rig.post(body)
    except RemaskError as error:
        message = str(error)
    else:
        message = "``"
        assert len(answers) == (
            min(1, len(body["tasks"]))
            if (body.get("params") or {}).get("context") is not None
            else len(body["tasks"])
        )
    assert "`" in message


@settings(max_examples=60, deadline=None)
@given(body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_arbitrary_bodies_are_refused_in_words(body: bytes) -> None:
    for decode in (decode_predict, decode_setup, decode_webhook):
        message = "``"
        try:
            decode(body)
        except InputError as error:
            message = str(error)
        assert "`" in message


@settings(max_examples=60, deadline=None)
@given(xml=st.text(max_size=80) | st.text("<>/=\"'! abVIKnLx", max_size=80))
def test_arbitrary_configs_are_refused_in_words(xml: str) -> None:
    with pytest.raises(InputError, match="labelling config"):
        parse_labelling_config(xml)


@settings(max_examples=300, deadline=None)
@given(entries=st.lists(REGIONS | JSON, max_size=5))
def test_any_result_is_read_and_every_region_has_an_id(entries: list[Any]) -> None:
    read = read_regions(msgspec.Raw(msgspec.json.encode(entries)))

    assert len(read.regions) + len(read.unreadable) <= len(entries)
    assert all(region.id for region in read.regions)
    assert all(str(bad) for bad in read.unreadable)
    assert all(
        number is None or math.isfinite(number)
        for region in read.regions
        for number in (region.value.x, region.value.y, region.original_width)
    )


@settings(max_examples=100, deadline=None)
@given(prompts=st.lists(PROMPTS, max_size=4))
def test_a_strange_neighbour_changes_nothing_about_a_region(prompts: list[dict[str, Any]]) -> None:
    """The quick reading of a whole list and the patient one of each entry agree."""
    quick = read_regions(msgspec.Raw(msgspec.json.encode(prompts)))
    patient = read_regions(msgspec.Raw(msgspec.json.encode([*prompts, 3])))

    assert patient.regions == quick.regions
