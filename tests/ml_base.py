"""A base class of the form of `label-studio-ml` 2: what `remask.ml_backend` needs of it.

Version 2 of the package is in a git repository alone, so the tests bring a class of the same form:
one object for each request, keys and values per project, `setup` called at the end of `__init__`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

__all__ = ["OldBase", "SmallBase", "installed"]


class SmallBase:
    """The base class of version 2, without its server."""

    kept: ClassVar[dict[tuple[str, str], Any]] = {}

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        self.setup()

    def setup(self) -> None:
        """For subclasses."""

    def get(self, key: str) -> Any:
        return self.kept.get((self.project_id, key))

    def set(self, key: str, value: Any) -> None:
        self.kept[self.project_id, key] = value

    @property
    def label_config(self) -> Any:
        return self.get("label_config")


class OldBase:
    """The base class of 1.0.9, which takes other arguments."""

    def __init__(self, label_config: str | None = None, train_output: Any = None) -> None: ...


@contextmanager
def installed(base: type | None) -> Iterator[ModuleType]:
    """Give `remask.ml_backend`, imported while `base` is the package's base class; None: none."""
    package, model = ModuleType("label_studio_ml"), ModuleType("label_studio_ml.model")
    if base is not None:
        model.LabelStudioMLBase = base  # type: ignore[attr-defined]
    before = {name: sys.modules.pop(name, None) for name in (package.__name__, model.__name__)}
    if base is not None:
        sys.modules.update({package.__name__: package, model.__name__: model})
    sys.modules.pop("remask.ml_backend", None)
    try:
        yield importlib.import_module("remask.ml_backend")
    finally:
        sys.modules.pop("remask.ml_backend", None)
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
