"""Write constraints.txt: the versions that this virtual environment holds and CI installs.

Constraints bind only what is installed anyway, so libraries of one platform may be absent from
another. Left out are those that torch chooses by itself for its platform.
"""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

OUTPUT = Path(__file__).parent.parent / "constraints.txt"
OLDEST_PYTHON = "3.10.0"
CHOSEN_BY_TORCH = ("nvidia-", "cuda-", "triton")
NOT_OURS = {"remask", "pip", "setuptools"}
HEADER = """\
# Versions that the tests were run with; written by `make pins`.
# Where a version does not support Python 3.10, that Python gets the newest one that does.
"""


def main() -> None:
    lines = []
    for distribution in distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        if name in NOT_OURS or name.startswith(CHOSEN_BY_TORCH):
            continue
        # A local part (2.12.1+cpu) names one build of many; the version itself fits them all.
        version = distribution.version.partition("+")[0]
        supported = SpecifierSet(distribution.metadata["Requires-Python"] or "")
        marker = "" if OLDEST_PYTHON in supported else ' ; python_version >= "3.11"'
        lines.append(f"{name}=={version}{marker}\n")
    OUTPUT.write_text(HEADER + "".join(sorted(lines)))
    print(f"{OUTPUT.name}: {len(lines)} versions")


if __name__ == "__main__":
    main()
