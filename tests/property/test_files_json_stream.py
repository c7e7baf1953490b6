"""Reading and writing a JSON object piece by piece gives what reading it at once gives."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remask_core.errors import InputError
from remask_files.json_stream import ElementWriter, read_elements

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


class Trickle(io.BytesIO):
    """A file that gives few bytes at a time, so that every value is cut somewhere."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most)


@given(OBJECTS, st.integers(1, 50), st.sampled_from([None, 1]), st.booleans())
def test_a_copy_of_the_elements_is_the_same_object(
    value: dict[str, object], most: int, indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )
    copy = io.BytesIO()
    writer = ElementWriter(copy)
    try:
        for element in read_elements(Trickle(data, most)):
            writer.write(element.key, element.place, element.raw)
    except InputError:
        # Half a surrogate pair as a key: no text, so not readable as one.
        assert any("\ud800" <= letter <= "\udfff" for key in value for letter in key)
        return
    writer.close()
    assert json.loads(copy.getvalue().decode("utf-8", "surrogatepass")) == value


def test_items_of_lists_come_one_by_one_and_other_values_whole() -> None:
    data = b'\xef\xbb\xbf{"a": [1, {"b": "]}"}], "c": {"d": [1]}, "e": [], "f": 1.5}'
    got = [(e.key, e.place, e.raw) for e in read_elements(io.BytesIO(data))]
    assert got == [
        ("a", 0, b"1"),
        ("a", 1, b'{"b": "]}"}'),
        ("c", None, b'{"d": [1]}'),
        ("e", None, b"[]"),
        ("f", None, b"1.5"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends within a value"),
        (b"[1]", "must hold a JSON object"),
        (b'{"a": [1, 2', "ends within a value"),
        (b'{"a": "x', "ends within a value"),
        (b'{"a": 12', "ends within a value"),
        (b'{"a": }', "a value is missing"),
        (b'{"a" 1}', "must be :"),
        (b'{"a": 1 "b": 2}', "must be , or }"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"a": 1} x', "nothing may follow"),
        (b"{1: 2}", "key must be a string"),
    ],
)
def test_what_is_no_object_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(read_elements(io.BytesIO(data)))


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_are_read_or_refused(data: bytes, most: int) -> None:
    with suppress(InputError):
        list(read_elements(Trickle(b"{" + data, most)))
