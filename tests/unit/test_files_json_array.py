from __future__ import annotations

import io
import json

import pytest

from remask_core.errors import InputError
from remask_files import json_stream
from remask_files.json_stream import read_array, read_objects

ELEMENTS = [
    {"a": [1, 2, {"b": "]}[{"}]},
    {},
    {"quote": 'say "\\" \\\\', "nested": [[[]], {"x": {}}], "ä": "\u2028€"},
    {"long": "x" * 300, "numbers": list(range(200))},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
def test_elements_come_whole_wherever_the_file_is_cut(monkeypatch, chunk, indent) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", chunk)
    text = json.dumps(ELEMENTS, indent=indent, ensure_ascii=False).encode()

    found = [json.loads(part) for part in read_array(io.BytesIO(b"\n " * (chunk > 9) + text))]

    assert found == ELEMENTS


def test_an_empty_array_has_no_elements() -> None:
    assert list(read_array(io.BytesIO(b" [ ]\n"))) == []


def test_a_byte_order_mark_is_passed_over() -> None:
    assert list(read_array(io.BytesIO(b"\xef\xbb\xbf[{}]"))) == [b"{}"]


@pytest.mark.parametrize("chunk", [1, 3, 64])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_comes_out_as_utf_8(monkeypatch, chunk, encoding) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", chunk)
    content = [{"a": "chat d'\u00e9t\u00e9 \U0001f408 \\"}, {"b": '\\"'}]
    text = json.dumps(content, ensure_ascii=False)

    found = [json.loads(part) for part in read_array(io.BytesIO(text.encode(encoding)))]

    assert found == content


def test_utf_16_that_is_torn_is_refused() -> None:
    with pytest.raises(InputError, match="whole UTF-16"):
        list(read_array(io.BytesIO("[{}]".encode("utf-16")[:-1])))


def test_objects_are_found_in_an_array_and_under_a_key() -> None:
    for text in (b'[{"a": 1}, {}]', b'{"x": [{}], "y": [{"a": 1}, {}], "z": 1}'):
        found = [
            (element.key, element.place, element.raw)
            for element in read_objects(io.BytesIO(text), "y")
        ]
        assert found == [("y", 0, b'{"a": 1}'), ("y", 1, b"{}")]
    assert list(read_objects(io.BytesIO(b'{"y": []}'), "y")) == []
    for text in (b"5", b'{"x": 1}'):
        with pytest.raises(InputError, match="list `y`"):
            list(read_objects(io.BytesIO(text), "y"))


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
        list(read_array(io.BytesIO(text)))


def test_an_element_that_would_fill_the_memory_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 100)
    text = json.dumps([{"a": "x" * 5000}]).encode()

    with pytest.raises(InputError, match="1000"):
        list(read_array(io.BytesIO(text), max_bytes=1000))
