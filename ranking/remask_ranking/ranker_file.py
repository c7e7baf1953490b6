"""The file of a ranking model: arrays and a line of JSON, no code."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from remask_core.errors import InputError, NotFound
from remask_ranking.features import FEATURES
from remask_ranking.forest import LEAF, Ranker
from remask_ranking.table import OFFERED

__all__ = ["load_ranker", "save_ranker"]

_FORMAT: Final = "remask ranker 1"
_MAX_BYTES: Final = 1_000_000_000
_ARRAYS: Final[dict[str, np.dtype[Any]]] = {
    "roots": np.dtype(np.int32),
    "feature": np.dtype(np.int32),
    "threshold": np.dtype(np.float64),
    "left": np.dtype(np.int32),
    "right": np.dtype(np.int32),
    "value": np.dtype(np.float64),
    "importances": np.dtype(np.float64),
}


def save_ranker(ranker: Ranker, path: Path) -> None:
    """Write the model to `path` (`.npz`); a file that was there is replaced whole.

    Raises:
        InputError: `path` cannot be written.
    """
    about = json.dumps({"format": _FORMAT, "features": ranker.features, "n_rows": ranker.n_rows})
    buffer = io.BytesIO()
    arrays = {name: getattr(ranker, name) for name in _ARRAYS}
    np.savez_compressed(
        buffer, about=np.array(about), errors=ranker.errors, fill=ranker.fill, **arrays
    )
    whole = path.with_name(path.name + ".part")
    try:
        whole.write_bytes(buffer.getvalue())
        whole.replace(path)
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error


def load_ranker(path: Path) -> Ranker:
    """Return the model in `path`; nothing in the file is run, and nothing in it is trusted.

    Raises:
        NotFound: There is no such file.
        InputError: It is not a model file, is damaged, or was made for other features.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            # A small file may unpack to a large one.
            unpacked = sum(entry.file_size for entry in packed.infolist())
        if unpacked > _MAX_BYTES:
            raise InputError(f"`{path}` must unpack to at most {_MAX_BYTES} bytes; got {unpacked}")
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            arrays = {name: stored[name] for name in _ARRAYS}
            # Models of before uncertainties were calibrated have none.
            errors = stored["errors"] if "errors" in stored else np.empty(0)
            fill = stored["fill"] if "fill" in stored else np.empty(0)
    except FileNotFoundError as error:
        raise NotFound(f"no model file at {path}; `remask rank train` makes one") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"`{path}` must be a model of `remask rank train`: {error}") from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise InputError(f"`{path}` must be a model of format {_FORMAT!r}")
    names = about.get("features")
    if (
        not isinstance(names, list)
        or names[: len(FEATURES)] != list(FEATURES)
        or not all(name in OFFERED for name in names[len(FEATURES) :])
    ):
        raise InputError(
            f"`{path}` must know the features {FEATURES}, then some of {OFFERED}; it has other ones"
        )
    n_rows = about.get("n_rows")
    ranker = Ranker(
        **arrays,
        n_rows=n_rows if isinstance(n_rows, int) else 0,
        errors=errors,
        features=tuple(names),
        fill=fill,
    )
    _check_forest(ranker, path)
    return ranker


def _check_forest(ranker: Ranker, path: Path) -> None:
    """Check that every walk down a tree stays in the arrays and comes to an end."""
    wrong = InputError(f"`{path}` must be a model file of `remask rank train`; it is damaged")
    n = len(ranker.feature)
    for name, dtype in _ARRAYS.items():
        array = getattr(ranker, name)
        length = {"roots": len(ranker.roots), "importances": len(ranker.features)}.get(name, n)
        if array.dtype != dtype or array.shape != (length,):
            raise wrong
        if dtype.kind == "f" and not np.isfinite(array).all():
            raise wrong
    errors = ranker.errors
    if (
        errors.dtype != np.float64
        or errors.ndim != 1
        or not (np.diff(errors, prepend=0) >= 0).all()
    ):
        raise wrong
    fill = ranker.fill
    if fill.dtype != np.float64 or len(fill) not in (0, len(ranker.features)):
        raise wrong
    if not np.isfinite(fill).all() or (len(ranker.features) > len(FEATURES) and not len(fill)):
        raise wrong
    inner = np.flatnonzero(ranker.feature != LEAF)
    sound = (
        len(ranker.roots) > 0
        and ranker.roots.min() >= 0
        and ranker.roots.max() < n
        and ranker.feature.min() >= LEAF
        and ranker.feature.max() < len(ranker.features)
    )
    for child in (ranker.left[inner], ranker.right[inner]):
        # Children behind their parents: no walk can go in circles.
        sound = sound and bool((child > inner).all() and (child < n).all())
    if not sound:
        raise wrong
