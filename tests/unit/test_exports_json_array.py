from __future__ import annotations

import io
import json

import pytest

from remask_core.errors import InputError
from remask_files import json_array
from remask_files.json_array import array_elements

ELEMENTS = [
    {"a": [1, 2, {"b": "]}[{"}]},
    {},
    {"quote": 'say "\\" \\\\', "nested": [[[]], {"x": {}}], "ä": "\u2028€"},
    {"long": "x" * 300, "numbers": list(range(200))},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
def test_elements_come_whole_wherever_the_file_is_cut(monkeypatch, chunk, indent) -> None:
    monkeypatch.setattr(json_array, "_CHUNK", chunk)
    text = json.dumps(ELEMENTS, indent=indent, ensure_ascii=False).encode()

    found = [json.loads(part) for part in array_elements(io.BytesIO(b"\n " * (chunk > 9) + text))]

    assert found == ELEMENTS


def test_an_empty_array_has_no_elements() -> None:
    assert list(array_elements(io.BytesIO(b" [ ]\n"))) == []


def test_a_byte_order_mark_is_passed_over() -> None:
    assert list(array_elements(io.BytesIO(b"\xef\xbb\xbf[{}]"))) == [b"{}"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[",
        b"[{}",
        b"[{}, {",
        b'[{"a": "b',
        b"[{} {}]",
        b"[,{}]",
        b"[{},]",
        b"[1, 2]",
        b"[[1]]",
        b'["a"]',
        b"[{}] x",
        b"[{}][",
        b"[}]",
        b"null",
    ],
)
def test_what_is_no_array_of_objects_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        list(array_elements(io.BytesIO(text)))


def test_an_element_that_would_fill_the_memory_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(json_array, "_CHUNK", 100)
    text = json.dumps([{"a": "x" * 5000}]).encode()

    with pytest.raises(InputError, match="1000"):
        list(array_elements(io.BytesIO(text), max_bytes=1000))
