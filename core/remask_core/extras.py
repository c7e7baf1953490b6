"""Optional dependencies: which extra of the package brings which module.

The base install runs the service, campaigns, ranking, exports and the bundled model. What it does
not bring is named here once, so that every command ends with the same sentence: what needs which
module, and how to install it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import MappingProxyType

from remask_core.errors import MissingExtra

__all__ = ["EXTRAS", "PYTHON_FROM", "check_modules", "has_module", "missing_extra", "needs_extra"]

EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("torch", "torchvision"),
        "sam": ("segment_anything", "torch", "torchvision"),
        "sam2": ("transformers", "torch", "torchvision", "timm"),
        "postgresql": ("psycopg",),
        "parquet": ("pyarrow",),
        "ray": ("ray", "fsspec", "obstore"),
    }
)
"""Extra to the modules that it brings; a module of several extras is listed under each,
the smallest extra first."""

PYTHON_FROM: Mapping[str, tuple[int, int]] = MappingProxyType({"sam2": (3, 11)})
"""Extra to the oldest Python that its packages run on, where that is newer than remask's own."""

_TORCH_HINT = (
    "; on a machine without an NVIDIA GPU install the CPU build of torch first, see docs/install.md"
)


def has_module(name: str) -> bool:
    """Return whether a top-level module can be imported; nothing is imported."""
    return find_spec(name) is not None


def check_modules(extra: str, what: str, *, modules: Sequence[str] | None = None) -> None:
    """Check that the modules of an extra are there; nothing is imported.

    Args:
        extra: One of `EXTRAS`.
        what: What needs it, the beginning of the sentence, such as "the model sam_vit_b".
        modules: Those of the extra's modules that are needed; None for all.

    Raises:
        MissingExtra: A module is not installed, or this Python is too old for the extra.
    """
    _check_python(extra, what)
    for module in EXTRAS[extra] if modules is None else modules:
        if not has_module(module):
            raise _error(module, extra, what)


def missing_extra(error: ModuleNotFoundError, *, what: str) -> MissingExtra | None:
    """Return what to say of a failed import; None if no extra brings the module."""
    module = (error.name or "").partition(".")[0]
    for extra in EXTRAS:
        if module in EXTRAS[extra]:
            return _error(module, extra, what)
    return None


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Turn a failed import of an extra's module in this block into `MissingExtra`."""
    _check_python(extra, what)
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS[extra]:
            raise
        raise _error(module, extra, what) from error


def _python() -> tuple[int, ...]:
    return sys.version_info[:3]


def _check_python(extra: str, what: str) -> None:
    oldest, here = PYTHON_FROM.get(extra, (3, 0)), _python()
    if here[:2] < oldest:
        raise MissingExtra(
            f"{what} needs Python {'.'.join(map(str, oldest))} or newer, this is Python "
            f"{'.'.join(map(str, here))}: install remask there with pip install 'remask[{extra}]'"
        )


def _error(module: str, extra: str, what: str) -> MissingExtra:
    hint = _TORCH_HINT if "torch" in EXTRAS[extra] else ""
    return MissingExtra(
        f"{what} needs the Python package {module}, which is not installed: "
        f"pip install 'remask[{extra}]'{hint}"
    )
