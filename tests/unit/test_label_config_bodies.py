"""Bodies: strict where it matters, and the message names the field."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from remask_core.errors import InputError
from remask_label_config import decode_predict, decode_setup, decode_webhook
from remask_label_config.bodies import MAX_TASKS, result_holders
from remask_label_config.regions import read_regions

GOOD: dict[str, Any] = {"tasks": [{"id": 1, "data": {}}], "label_config": "<View/>"}


def with_region(**changes: Any) -> dict[str, Any]:
    region = {"id": "a", "type": "keypointlabels", "value": {"x": 1, "y": 2}, **changes}
    return {**GOOD, "params": {"context": {"result": [region]}}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "`body`: object missing required field `tasks`"),
        ({**GOOD, "tasks": 1}, "`tasks`: expected `array`, got `int`"),
        ({**GOOD, "tasks": [{"id": 1}]}, "`tasks[0]`: object missing required field `data`"),
        ({**GOOD, "tasks": [{"id": -1, "data": {}}]}, "`tasks[0].id`: expected `int` >= 0"),
        ({**GOOD, "label_config": None}, "`label_config`: expected `str`, got `null`"),
        (with_region(value={"x": "one"}), "`params.context.result[0].value.x`: expected"),
        (with_region(value={"x": "nan"}), "`params.context.result[0].value.x`: expected"),
        (with_region(is_positive="no"), "`params.context.result[0].is_positive`: expected"),
        (with_region(item_index=-1), "`params.context.result[0].item_index`: expected"),
    ],
)
def test_a_wrong_field_is_named(body: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_predict(json.dumps(body).encode())
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[" * 5_000_000,
        b'{"tasks": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"tasks": NaN}',
        b'{"tasks": [{"id": 1e400, "data": {}}]}',
        b'{"tasks": [{"id": 123456789012345678901234567890, "data": {}}]}',
        b'{"x": "\xff"}',
        b'{"tasks": [{"id": 1, "data": {"image": "\\ud800"}}], "label_config": ""}',
    ],
)
def test_hostile_bytes_are_refused_in_words(body: bytes) -> None:
    with pytest.raises(InputError, match="`"):
        decode_predict(body)


@pytest.mark.parametrize("count", [MAX_TASKS, MAX_TASKS + 1])
def test_too_many_tasks_are_refused(count: int) -> None:
    tasks = b",".join([b'{"data":{}}'] * count)
    body = b'{"tasks":[' + tasks + b'],"label_config":"<View/>"}'

    if count == MAX_TASKS:
        assert len(decode_predict(body).tasks) == count
    else:
        with pytest.raises(InputError, match="at most 100,000 entries; got 100,001"):
            decode_predict(body)


def test_ids_and_numbers_of_a_context_may_be_as_people_import_them() -> None:
    strange = with_region(id=7, value={"x": "20", "y": 2, "keypointlabels": "Cat"})

    context = decode_predict(json.dumps(strange).encode()).context

    assert context is not None
    (region,) = context.result
    assert (region.id, region.value.x, region.labels) == ("7", 20.0, ("Cat",))


def test_unknown_keys_do_no_harm() -> None:
    body = {**GOOD, "later": [1], "params": {"context": None, "login": None}}

    request = decode_predict(json.dumps(body).encode())

    assert request.context is None
    assert request.tasks[0].id == 1


def test_the_project_is_known_by_its_number() -> None:
    request = decode_predict(json.dumps({**GOOD, "project": "12.1795197050"}).encode())

    assert request.project_id == "12"


def test_setup_and_webhook_are_read() -> None:
    assert decode_setup(b'{"schema": "<View/>", "project": "1.2"}').schema == "<View/>"
    event = decode_webhook(
        b'{"action": "ANNOTATION_CREATED", "task": {"id": 3}, "annotation": {"id": 7,'
        b' "result": [{"id": "a", "type": "brushlabels", "value": {"rle": [0]}}, {}]}}'
    )
    assert event.annotation is not None
    assert [region.id for region in event.annotation.read().regions] == ["a"]
    deleted = decode_webhook(b'{"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 7}]}')
    assert [annotation.id for annotation in deleted.annotations] == [7]
    with pytest.raises(InputError, match="`schema`"):
        decode_setup(b'{"schema": 1}')
    with pytest.raises(InputError, match="`action`"):
        decode_webhook(b"{}")


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b"[", b"[1, {}, null]"])
def test_results_that_cannot_be_read_are_left_out(raw: bytes) -> None:
    assert read_regions(msgspec.Raw(raw)).regions == []
    assert all(holder.result == [] for holder in result_holders(msgspec.Raw(raw)))


def test_one_strange_region_does_not_hide_the_others() -> None:
    good = {"id": "a", "type": "choices", "value": {"choices": ["x"]}}
    raw = msgspec.Raw(json.dumps([{"id": 1, "result": [good, {"id": 7}, 3]}, 5, {}]).encode())

    holders = result_holders(raw)

    assert [[region.id for region in holder.result] for holder in holders] == [["a"], []]
