"""Tables as spreadsheets and programs save them are read alike, or refused with a sentence."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from remask_core.errors import InputError, NotFound
from remask_files.csv_rows import CsvWriter, csv_columns, read_csv, read_csv_cells
from remask_files.text import encoding_of, read_text

TABLE = 'name,words,x\nchat,"d\'été, grand",1\n猫,"two\nlines",2\n'


def rows_of(path: Path) -> list[dict[str, str]]:
    return [row.cells for row in read_csv(path, name="table", needed=["name", "x"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_table_is_the_same_however_it_was_saved(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    text = TABLE.replace(",", delimiter).replace("\n", end)
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))

    first, second = rows_of(tmp_path / "a.csv")

    assert first == {"name": "chat", "words": f"d'été{delimiter} grand", "x": "1"}
    assert second == {"name": "猫", "words": f"two{end}lines", "x": "2"}


def test_rows_say_on_which_line_they_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\na;b\n\n1;2\n;\n3\n4;5;6\n", encoding="utf-8")

    rows = list(read_csv(tmp_path / "a.csv", name="table"))

    assert [tuple(row.cells.values()) for row in rows] == [("1", "2"), ("3", ""), ("4", "5")]
    assert [row.line for row in rows] == [4, 6, 7]


def test_spaces_in_a_heading_do_not_hide_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name, x\nchat, 1\n", encoding="utf-8")

    assert rows_of(tmp_path / "a.csv") == [{"name": "chat", "x": " 1"}]
    assert csv_columns(tmp_path / "a.csv", name="table") == ["name", "x"]


def test_a_table_without_a_heading_gives_its_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("/m/01yrx;Cat, small\n", encoding="utf-16")

    assert list(read_csv_cells(tmp_path / "a.csv", name="table")) == [
        (1, ["/m/01yrx", "Cat, small"])
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,x\nd\xe9j\xe0,1\n".encode("latin-1"), r"`table` must be text in UTF-8 or UTF-16"),
        ("name,x\n1,2\n".encode("utf-16")[:-1], r"`table` must be text in UTF-8 or UTF-16"),
        (b"name,y\n1,2\n", r"`table` must have the columns \['x'\]; .*a.csv has name, y"),
        (b"", r"`table` must have the columns \['name', 'x'\]; .*a.csv has none"),
        (b"name,x\n" + b"1" * 200_000 + b",2\n", r"`table` must be a CSV file; .*line 2"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / "a.csv")


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="`table` must be a file"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(InputError, match="`table` must be readable"):
        rows_of(tmp_path)


def test_text_is_read_in_the_same_encodings(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        (tmp_path / "a.md").write_bytes("# Été\r\nB\r".encode(encoding))
        assert read_text(tmp_path / "a.md", name="policy") == "# Été\nB\n"
    (tmp_path / "a.md").write_bytes("Été".encode("latin-1"))
    with pytest.raises(InputError, match=r"`policy` must be text in UTF-8 .* Save it as UTF-8"):
        read_text(tmp_path / "a.md", name="policy")
    assert encoding_of(b"") == "utf-8"


TEXTS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "  =1",
    "'=1",
    "''=1",
    "'quoted'",
    "-0.5",
    "+1e-3",
    "plain, with comma",
    "",
]


def test_no_text_is_run_as_a_formula_and_all_is_read_as_it_was(tmp_path: Path) -> None:
    file = CsvWriter(tmp_path / "a.csv", ["n", "text", "x"])
    for number, text in enumerate(TEXTS):
        file.add((number, text, -0.5))
    file.close()

    raw = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [next(csv.reader([line]))[1] for line in raw]
    assert [text for text in cells if text.lstrip()[:1] in tuple("=+-@")] == ["-0.5", "+1e-3"]
    assert TEXTS == [row.cells["text"] for row in read_csv(tmp_path / "a.csv", name="a")]
    assert {row.cells["x"] for row in read_csv(tmp_path / "a.csv", name="a")} == {"-0.5"}


def test_a_file_that_is_no_table_is_not_printed_whole(tmp_path: Path) -> None:
    """JSON in one line is a heading of many columns."""
    path = tmp_path / "coco.json"
    path.write_text(",".join(map(str, range(10_000))))

    with pytest.raises(InputError, match="must have the columns") as caught:
        list(read_csv(path, name="clicks", needed=("instance",)))

    assert len(str(caught.value)) < 500
