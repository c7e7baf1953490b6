"""Missing optional packages are named with the line that installs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from remask_core import extras
from remask_core.errors import MissingExtra
from remask_core.extras import check_modules, missing_extra, needs_extra
from remask_models import registry


def test_a_failed_import_names_the_smallest_extra() -> None:
    said = missing_extra(
        ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"), what="`remask train`"
    )

    assert said is not None
    assert str(said).startswith("`remask train` needs the Python package torch")
    assert "pip install 'remask[train]'" in str(said)


def test_a_module_of_no_extra_is_not_ours_to_explain() -> None:
    assert missing_extra(ModuleNotFoundError(name="somebodys_own"), what="it") is None

    with pytest.raises(ModuleNotFoundError), needs_extra("parquet", "Parquet"):
        raise ModuleNotFoundError(name="somebodys_own")


@pytest.mark.parametrize(
    ("extra", "module"),
    [("parquet", "pyarrow"), ("postgresql", "psycopg"), ("sam", "segment_anything")],
)
def test_each_extra_is_named(extra: str, module: str) -> None:
    with pytest.raises(MissingExtra, match=rf"remask\[{extra}\]"), needs_extra(extra, "It"):
        raise ModuleNotFoundError(name=module)


def test_a_model_is_checked_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "has_module", lambda name: name != "segment_anything")

    with pytest.raises(MissingExtra, match=r"the model sam_vit_b needs .* segment_anything"):
        registry.check("sam_vit_b", weights=Path("any.pth"))
    with pytest.raises(MissingExtra, match=r"remask\[sam\]"):
        check_modules("sam", "It")


def test_a_gpu_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "has_module", lambda name: name != "torch")

    registry.check("convnet", device="auto")
    with pytest.raises(MissingExtra, match=r"the device cuda:1 needs .* torch"):
        registry.check("convnet", device="cuda:1")
