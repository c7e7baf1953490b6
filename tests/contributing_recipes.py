"""The recipes of CONTRIBUTING.md: their files, and the commands with what they print."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def recipe(title: str) -> str:
    """Return the text of one recipe, by its heading."""
    (found,) = re.findall(
        rf"^## {title}\n(.*?)(?=^## )", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    return found


def write_files(text: str, folder: Path) -> list[Path]:
    """Write every block that begins with `# path` to that path below `folder`."""
    written = []
    for name, content in re.findall(r"```\w+\n# (\S+\.\w+)\n(.*?)```", text, re.DOTALL):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        written.append(path)
    return written


def commands(text: str) -> list[tuple[str, str]]:
    """Return every command of the console blocks with the lines that it shall print."""
    blocks = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    return re.findall(r"^\$ (.*?)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)
