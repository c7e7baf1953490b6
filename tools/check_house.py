"""Check what ruff, mypy and import-linter cannot: the rules of the house (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_LINES = 500
MANY_LINES = 400
FEWEST_LINES = 40
# A module of its own in spite of its size, and why.
MAY_BE_SHORT = {
    "backend/remask_models/prompts.py": "every model imports it, and none may import another",
    "cli/remask_cli/campaign/left_out.py": "several commands print the same list",
    "cli/remask_cli/lock.py": "knows the operating system's file locks, as nothing else does",
    "core/remask_core/progress.py": "a type that every floor shares",
    "research/remask_training/memory.py": "calls glibc, for every kind of training",
    "research/remask_training/tensors.py": "crops to tensors, for training and the noise study",
}
NAMELESS = {"utils.py", "helpers.py", "common.py", "misc.py"}
# What must not stand in any tracked text: a developer's own paths, and unresolved merges.
FORBIDDEN = (r"(?<![\w./-])/(?:home|root|Users|work)/", r"^(?:<<<<<<<|>>>>>>>) ")
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".xml",
    ".html",
    ".txt",
    ".csv",
    ".cfg",
    "",
}
# Paths inside an image or a container are nobody's own.
MAY_NAME_PATHS = {"backend/Dockerfile", "docker-compose.yml", "tools/check_house.py"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked_files(root: Path) -> list[Path]:
    """Return every file that git tracks or would track, relative to `root`, in order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    paths = [Path(name) for name in sorted(set(listed.split("\0"))) if name]
    return [path for path in paths if (root / path).is_file()]


def long_modules(root: Path, files: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Yield the Python files of more than MANY_LINES lines, with their length."""
    for path in files:
        if path.suffix == ".py":
            lines = (root / path).read_text().count("\n")
            if lines > MANY_LINES:
                yield path, lines


def short_modules(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each module of a package that is too short to stand alone.

    Lists of public names (`api`) and programs (`app.py`) may be short, and so may what
    MAY_BE_SHORT names; an entry there that is no longer needed is a problem as well.
    """
    short = {
        str(path): lines
        for path in files
        if _in_package(path) and path.parts[0] != "api"
        if path.name not in {"__init__.py", "__main__.py", "app.py"}
        if (lines := (root / path).read_text().count("\n")) < FEWEST_LINES
    }
    for name, lines in short.items():
        if name not in MAY_BE_SHORT:
            yield f"{name}: {lines} lines; let it join the module that it serves"
    tracked = {str(path) for path in files}
    for name in MAY_BE_SHORT:
        if name in tracked and name not in short:
            yield f"tools/check_house.py: MAY_BE_SHORT names {name}, which is not short"


def without_docstring(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each module that does not begin by saying what it is."""
    for path in files:
        if not _in_package(path) and path.parts[:1] != ("tools",):
            continue
        if path.suffix != ".py":
            continue
        text = (root / path).read_text()
        about = ast.get_docstring(ast.parse(text)) if text.strip() else "empty"
        if not (about or "").split("\n")[0].strip():
            yield f"{path}: the first line of its docstring must say what it is"


def loops_over_one(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each loop whose variable is called `one` instead of what it is."""
    for path in files:
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse((root / path).read_text())):
            if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
                names = (name for name in ast.walk(node.target) if isinstance(name, ast.Name))
                for name in names:
                    if name.id == "one":
                        yield f"{path}:{name.lineno}: name the loop variable for what it runs over"


def nameless_modules(files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each module named after nothing."""
    for path in files:
        if path.name in NAMELESS:
            yield f"{path}: put each helper into the module of the noun it serves"


def packages(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Return (wing, package) of every top-level package in the wings."""
    found = {
        (path.parts[0], path.parts[1])
        for path in files
        if len(path.parts) == 3 and path.name == "__init__.py" and path.parts[0] != "tests"
    }
    return sorted(found)


def unlisted_packages(pyproject: str, found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a sentence for each package that the wheel or import-linter does not know."""
    wheel = _array_after("packages", pyproject)
    walls = _array_after("root_packages", pyproject)
    for wing, package in found:
        if f"{wing}/{package}" not in wheel:
            yield f"pyproject.toml: the wheel's packages lack {wing}/{package}"
        if package not in walls:
            yield f"pyproject.toml: import-linter's root_packages lack {package}"


def _array_after(key: str, toml: str) -> set[str]:
    match = re.search(rf"^{key} = \[(.*?)^\]", toml, re.DOTALL | re.MULTILINE)
    return set(re.findall(r'"([^"]+)"', match.group(1))) if match else set()


def without_all(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each module of a package that does not say what is public."""
    for path in files:
        if not _in_package(path) or path.name == "__main__.py":
            continue
        body = ast.parse((root / path).read_text()).body
        only_docstring = all(isinstance(node, ast.Expr) for node in body)
        if not only_docstring and not any(_assigns_all(node) for node in body):
            yield f"{path}: has no __all__"


def _in_package(path: Path) -> bool:
    parts = path.parts
    return path.suffix == ".py" and len(parts) > 2 and parts[1].partition("_")[0] == "remask"


def _assigns_all(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def forbidden_words(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each line that holds what no tracked text may hold."""
    for path in files:
        if path.suffix not in TEXT_SUFFIXES or str(path) in MAY_NAME_PATHS:
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            for pattern in FORBIDDEN:
                if found := re.search(pattern, line):
                    yield f"{path}:{number}: must not say {found.group()!r}"


def broken_links(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each relative link of a Markdown file that leads nowhere."""
    for path in files:
        if path.suffix != ".md":
            continue
        for address in LINK.findall(_without_code((root / path).read_text())):
            target, _, heading = address.partition("#")
            if re.match(r"[a-z]+:", address):
                continue
            page = root / path.parent / target if target else root / path
            if not page.exists():
                yield f"{path}: the link {address} leads nowhere"
            elif heading and page.suffix == ".md" and heading not in anchors(page.read_text()):
                yield f"{path}: the link {address} names no heading of that page"


def stale_names(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each path or module that a page names and that is not there.

    Decisions and the changelog speak of the past and may name modules that are gone.
    """
    wings = {wing for wing, _ in packages(files)} | {"tests", "tools"}
    path_in_code = re.compile(rf"`((?:{'|'.join(sorted(wings))})/[\w./-]+)`")
    modules = {
        ".".join(path.with_suffix("").parts[1:]).removesuffix(".__init__")
        for path in files
        if _in_package(path)
    }
    for page in files:
        if page.suffix != ".md":
            continue
        text = (root / page).read_text()
        for named in path_in_code.findall(text):
            if not (root / named).exists():
                yield f"{page}: names {named}, which is not there"
        if page.name == "CHANGELOG.md" or page.parts[:2] == ("docs", "decisions"):
            continue
        for named in sorted(set(re.findall(r"\bremask_[a-z_]+(?:\.\w+)+", text))):
            parts = named.split(".")
            if not any(".".join(parts[:end]) in modules for end in range(2, len(parts) + 1)):
                yield f"{page}: names {named}, which is no module"


def anchors(markdown: str) -> set[str]:
    """Return what links may name behind `#`: the headings of a page, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+?)\s*$", _without_code(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_code(markdown: str) -> str:
    return re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)


def decisions_out_of_order(files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each decision without a number of its own."""
    taken: dict[str, Path] = {}
    for path in files:
        if path.parts[:2] != ("docs", "decisions") or path.name == "README.md":
            continue
        number = re.match(r"\d{4}(?=-[a-z0-9-]+\.md$)", path.name)
        if number is None:
            yield f"{path}: a decision is called NNNN-title.md"
        elif number.group() in taken:
            yield f"{path}: {taken[number.group()].name} has this number as well"
        else:
            taken[number.group()] = path


def unlisted_decisions(root: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield a sentence for each decision that the index does not list under its title."""
    for path in files:
        if path.parts[:2] != ("docs", "decisions") or path.name == "README.md":
            continue
        heading = (root / path).read_text().split("\n")[0]
        title = heading.removeprefix(f"# {path.name[:4]} ")
        index = path.parent / "README.md"
        if f"[{title}]({path.name})" not in (root / index).read_text():
            yield f"{index}: lacks [{title}]({path.name})"


def main() -> int:
    files = tracked_files(ROOT)
    problems = [
        *nameless_modules(files),
        *unlisted_packages((ROOT / "pyproject.toml").read_text(), packages(files)),
        *without_all(ROOT, files),
        *without_docstring(ROOT, files),
        *short_modules(ROOT, files),
        *loops_over_one(ROOT, files),
        *forbidden_words(ROOT, files),
        *broken_links(ROOT, files),
        *stale_names(ROOT, files),
        *decisions_out_of_order(files),
        *unlisted_decisions(ROOT, files),
    ]
    for path, lines in long_modules(ROOT, files):
        if lines > MOST_LINES:
            problems.append(f"{path}: {lines} lines; a module has at most {MOST_LINES}")
        else:
            print(f"note: {path} has {lines} lines; has it one idea?")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"The house: {len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
