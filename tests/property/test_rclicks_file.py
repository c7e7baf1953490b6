"""Any text in a click file is read, or refused with what is wrong: never a crash."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remask_clicks.click_file import MeasuredClick, read_clicks, write_clicks
from remask_core.errors import InputError

HEADER = "dataset,image_stem,object_stem,model_type,click_type,full_stem,device,x,y,w,h"
CELLS = st.one_of(
    st.sampled_from(["first", "fn", "pc", "mobile", "", "1e999", "nan", "-1", "12.7", "80"]),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
STEMS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, max_size=12), max_size=4))
def test_any_text_is_read_or_refused(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "clicks.csv"
    path.write_bytes("\n".join([HEADER, *map(",".join, rows)]).encode())

    with suppress(InputError):
        clicks = read_clicks(path)
        assert all(0 <= click.x < click.w and 0 <= click.y < click.h for click in clicks)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stem=STEMS, other=STEMS, x=st.integers(0, 79), y=st.integers(0, 59))
def test_odd_names_survive_the_file(tmp_path: Path, stem: str, other: str, x: int, y: int) -> None:
    click = MeasuredClick(other, stem, other, "", "first", stem, "pc", x, y, 80, 60)

    write_clicks(tmp_path / "clicks.csv", [click])

    assert read_clicks(tmp_path / "clicks.csv") == [click]
