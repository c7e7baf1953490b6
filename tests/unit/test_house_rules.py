"""The checks of `make check` find what they are for, and the house keeps its own rules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def check_house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_house", ROOT / "tools" / "check_house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return Path(name)

    return write


def test_modules_over_the_limit_are_found(check_house, tmp_path, write) -> None:
    short, long = write("short.py", "x = 1\n" * 400), write("long.py", "x = 1\n" * 401)

    assert list(check_house.long_modules(tmp_path, [short, long])) == [(long, 401)]


def test_modules_too_short_to_stand_alone_are_found(check_house, tmp_path, write) -> None:
    files = [
        write("core/remask_a/short.py", "x = 1\n" * 39),
        write("core/remask_a/enough.py", "x = 1\n" * 40),
        write("core/remask_a/__init__.py", ""),
        write("api/remask/names.py", ""),
        write("tests/unit/test_a.py", ""),
        write("core/remask_core/progress.py", "x = 1\n" * 40),
    ]

    assert list(check_house.short_modules(tmp_path, files)) == [
        "core/remask_a/short.py: 39 lines; let it join the module that it serves",
        "tools/check_house.py: MAY_BE_SHORT names core/remask_core/progress.py, which is not short",
    ]


def test_modules_that_do_not_say_what_they_are_are_found(check_house, tmp_path, write) -> None:
    files = [
        write("core/remask_a/b.py", '"""What it is."""\n'),
        write("core/remask_a/c.py", "x = 1\n"),
        write("tests/d.py", ""),
    ]

    (found,) = check_house.without_docstring(tmp_path, files)

    assert found.startswith("core/remask_a/c.py:")


def test_loops_over_one_are_found(check_house, tmp_path, write) -> None:
    path = write(
        "a.py", "one = 1\nfor one in x:\n    y = [b for a, one in z]\nfor mask in x: ...\n"
    )

    assert [found.split(":")[1] for found in check_house.loops_over_one(tmp_path, [path])] == [
        "2",
        "3",
    ]


def test_modules_named_after_nothing_are_found(check_house) -> None:
    found = list(check_house.nameless_modules([Path("core/remask_core/utils.py"), Path("a.py")]))

    assert len(found) == 1
    assert "utils.py" in found[0]


def test_a_package_must_be_in_the_wheel_and_behind_the_walls(check_house) -> None:
    pyproject = 'packages = [\n  "core/remask_core",\n]\nroot_packages = [\n  "remask_core",\n]\n'

    assert list(check_house.unlisted_packages(pyproject, [("core", "remask_core")])) == []
    assert len(list(check_house.unlisted_packages(pyproject, [("core", "remask_new")]))) == 2


def test_modules_of_packages_say_what_is_public(check_house, tmp_path, write) -> None:
    with_all = write("core/remask_a/b.py", '__all__ = ["x"]\nx = 1\n')
    typed = write("core/remask_a/c.py", "__all__: list[str] = []\n")
    only_docstring = write("core/remask_a/__init__.py", '"""Nothing."""\n')
    without = write("core/remask_a/d.py", "x = 1\n")
    files = [with_all, typed, only_docstring, without]

    assert list(check_house.without_all(tmp_path, files)) == [f"{without}: has no __all__"]


@pytest.mark.parametrize("path", ["/home" + "/somebody/x", "(/root" + "/.cache)"])
def test_paths_of_a_developers_machine_are_found(check_house, tmp_path, write, path) -> None:
    page = write("docs/page.md", f"first\nsee {path}\n")

    (found,) = check_house.forbidden_words(tmp_path, [page])

    assert found.startswith("docs/page.md:2:")


def test_addresses_that_only_look_like_such_paths_are_not(check_house, tmp_path, write) -> None:
    page = write("docs/page.md", "https://example.org/home/x and docs/home/x\n")

    assert list(check_house.forbidden_words(tmp_path, [page])) == []


def test_links_that_lead_nowhere_are_found(check_house, tmp_path, write) -> None:
    write("docs/there.md", "")
    text = "[a](there.md) [b](there.md) [c](https://example.org) [e](gone.md)"
    page = write("docs/page.md", text + "\n```\n[f](in-code.md)\n```\n")

    assert list(check_house.broken_links(tmp_path, [page])) == [
        "docs/page.md: the link gone.md leads nowhere"
    ]


def test_links_to_headings_that_are_not_there_are_found(check_house, tmp_path, write) -> None:
    write("docs/there.md", "# A page: `x` and Y\n\n```\n# a comment\n```\n## Part 2\n")
    text = "[a](there.md#a-page-x-and-y) [b](there.md#part-2) [c](there.md#a-comment) [d](#none)"
    page = write("docs/page.md", f"# Title\n{text}\n")

    assert list(check_house.broken_links(tmp_path, [page])) == [
        "docs/page.md: the link there.md#a-comment names no heading of that page",
        "docs/page.md: the link #none names no heading of that page",
    ]


def test_names_of_modules_that_are_gone_are_found(check_house, tmp_path, write) -> None:
    text = "`core/remask_a/b.py` `core/gone.py` remask_a.b.function remask_a.gone.function"
    files = [
        write("core/remask_a/__init__.py", ""),
        write("core/remask_a/b.py", ""),
        write("docs/page.md", text),
        write("docs/decisions/0001-a.md", "remask_a.gone was there"),
    ]

    assert list(check_house.stale_names(tmp_path, files)) == [
        "docs/page.md: names core/gone.py, which is not there",
        "docs/page.md: names remask_a.gone.function, which is no module",
    ]


def test_two_decisions_of_one_number_are_found(check_house) -> None:
    names = ["README.md", "0001-a.md", "0001-b.md", "later.md"]
    found = list(
        check_house.decisions_out_of_order([Path("docs/decisions") / name for name in names])
    )

    assert len(found) == 2


def test_decisions_that_the_index_lacks_are_found(check_house, tmp_path, write) -> None:
    write("docs/decisions/README.md", "- [One thing](0001-a.md)\n")
    files = [
        write("docs/decisions/0001-a.md", "# 0001 One thing\n"),
        write("docs/decisions/0002-b.md", "# 0002 Another\n"),
    ]

    assert list(check_house.unlisted_decisions(tmp_path, files)) == [
        "docs/decisions/README.md: lacks [Another](0002-b.md)"
    ]


def test_every_command_has_help_with_an_example() -> None:
    import typer.main

    from remask_cli.main import app

    def leaves(command, name):
        children = getattr(command, "commands", {})
        if not children:
            yield name, command
        for child_name, child in children.items():
            yield from leaves(child, f"{name} {child_name}")

    without = [
        name
        for name, command in leaves(typer.main.get_command(app), "remask")
        if "example" not in f"{command.help} {command.epilog}".lower()
    ]
    assert without == []


def test_the_generated_pages_name_every_command_and_setting() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import write_docs
    finally:
        sys.path.remove(str(ROOT / "tools"))

    for name, compose in write_docs.PAGES.items():
        assert (ROOT / "docs" / name).read_text() == compose(), f"{name}: run `make docs`"
