"""The public face: `import remask` is light, gives what docs/api.md says, and hides the rest."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import remask

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
PARTS = ("campaigns", "errors", "evaluation", "exports", "noise", "ranking", "simulation")
HEAVY = ("torch", "flask", "label_studio_sdk", "onnxruntime", "numpy", "cv2", "scipy", "sqlalchemy")


def imported_by(code: str) -> set[str]:
    """Return which of the heavy packages a clean interpreter has loaded after `code`."""
    script = (
        f"{code}\nimport json, sys\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_importing_remask_loads_nothing_heavy() -> None:
    assert imported_by("import remask; dir(remask); remask.__version__") == set()


def test_of_the_parts_only_campaigns_load_the_sdk() -> None:
    parts = [f"remask.{part}.__all__" for part in PARTS if part != "campaigns"]
    loaded = imported_by(f"import remask; {'; '.join(parts)}")

    assert loaded & {"torch", "flask", "label_studio_sdk", "onnxruntime"} == set()


def test_every_example_of_the_page_answers_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)

    assert (failed, tried > 40) == (0, True)


def test_every_public_name_is_there_and_on_the_page() -> None:
    page = PAGE.read_text()

    for name in remask.__all__:
        assert getattr(remask, name) is not None
        assert f"`{name}" in page or f"`remask.{name}`" in page, name
    assert set(remask.__all__) <= set(dir(remask))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_a_module_that_names_all_it_has(part: str) -> None:
    module = importlib.import_module(f"remask.{part}")

    assert getattr(remask, part) is module
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_no_error_is_missing() -> None:
    from remask_core import errors

    assert set(remask.errors.__all__) == set(errors.__all__)


def test_type_checkers_see_what_users_get() -> None:
    """The imports for type checkers and the table that is used at run time say the same."""
    tree = ast.parse(inspect.getsource(remask))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    del seen["Path"]

    assert {name for name, module in seen.items() if module == "remask"} == set(PARTS)
    assert {name: module for name, module in seen.items() if module != "remask"} == (
        remask._MODULE_OF
    )


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="'remask' has no attribute 'Nonsense'"):
        remask.Nonsense  # noqa: B018


def test_a_model_loads_by_name_and_by_the_path_of_its_weights(tmp_path: Path) -> None:
    assert remask.load_model("grabcut").name == "grabcut"
    with pytest.raises(remask.errors.NotFound):
        remask.load_model(weights=str(tmp_path / "absent.safetensors"))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("simulation.baseline_click", "truth mask taken valid"),
        ("simulation.region_clicks", "truth mask n rng min_area_px noise_px valid"),
        ("simulation.boundary_clicks", "truth mask n rng min_area_px noise_px valid"),
        ("simulation.uniform_clicks", "truth mask n rng min_area_px noise_px valid"),
        ("simulation.noisy_box", "box shape_hw rng sigma_px min_iou"),
        ("noise.dilate", "mask kernel_px"),
        ("noise.erode", "mask kernel_px"),
        ("noise.opening", "mask kernel_px"),
        ("noise.localise", "mask sigma_px rng holes"),
        ("noise.approximate", "mask tolerance_px rng holes"),
        ("noise.flip_class", "class_index share rng n_classes similar as_published"),
        ("ranking.features", "previous_mask mask clicks round_index box"),
        ("ranking.fit", "X y seed sample_weight n_trees min_leaf"),
        ("evaluation.evaluate_coco", "scored boundary class_agnostic"),
        ("evaluation.read_scored", "truth detections left_out"),
    ],
)
def test_signatures_stay(name: str, parameters: str) -> None:
    part, function = name.split(".")
    found = inspect.signature(getattr(getattr(remask, part), function)).parameters

    known = parameters.split()
    assert list(found)[: len(known)] == known
    # What comes later must be left out at will.
    added = list(found.values())[len(known) :]
    assert all(parameter.default is not parameter.empty for parameter in added)
