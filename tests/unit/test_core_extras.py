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


def test_the_family_needs_a_newer_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_python", lambda: (3, 10, 14))

    said = (
        r"the model edgetam needs Python 3\.11 or newer, this is Python 3\.10\.14.*remask\[sam2\]"
    )
    with pytest.raises(MissingExtra, match=said):
        registry.check("edgetam", weights=Path("any.safetensors"))
    with pytest.raises(MissingExtra, match=said), needs_extra("sam2", "the model edgetam"):
        pass


@pytest.mark.parametrize(
    ("model", "module"), [("sam2.1_hiera_tiny", "transformers"), ("edgetam", "timm")]
)
def test_the_family_names_its_extra(
    model: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "has_module", lambda name: name != module)
    monkeypatch.setattr(extras, "_python", lambda: (3, 11, 0))

    with pytest.raises(MissingExtra, match=rf"{module}.*pip install 'remask\[sam2\]'"):
        registry.check(model, weights=Path("any.safetensors"))


def test_only_edgetam_needs_timm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extras, "has_module", lambda name: name != "timm")
    monkeypatch.setattr(extras, "_python", lambda: (3, 11, 0))
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"any")

    found = registry.check("sam_hq_vit_b", weights=weights)

    assert found is not None
    assert found.startswith("sam_hq_vit_b@")


def test_a_gpu_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "has_module", lambda name: name != "torch")

    registry.check("convnet", device="auto")
    with pytest.raises(MissingExtra, match=r"the device cuda:1 needs .* torch"):
        registry.check("convnet", device="cuda:1")
