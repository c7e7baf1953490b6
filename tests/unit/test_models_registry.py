from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fakes
import pytest

from remask_core.errors import InputError, NotFound
from remask_models import registry


def test_names_are_those_of_the_command_line() -> None:
    assert {
        "convnet",
        "grabcut",
        *(f"sam_vit_{size}" for size in "blh"),
        *(f"sam_hq_vit_{size}" for size in "blh"),
        *(f"sam2.1_hiera_{size}" for size in ("tiny", "small", "base_plus", "large")),
        "edgetam",
        "sam3_tracker",
    } == set(registry.names())


def test_every_name_of_the_family_has_an_architecture() -> None:
    pytest.importorskip("transformers")
    from remask_models.hub import HUB_FILES
    from remask_models.sam.architectures import FAMILY

    assert set(HUB_FILES) == set(FAMILY)


@pytest.mark.parametrize("call", [registry.load, registry.version])
def test_an_unknown_name_is_answered_with_the_known_ones(call: object) -> None:
    with pytest.raises(InputError, match=r"one of .*grabcut.*sam_vit_h.*; got 'sam'"):
        call("sam")  # type: ignore[operator]


def test_the_web_process_learns_versions_without_torch(tmp_path: Path) -> None:
    """Neither importing the registry nor asking for versions imports torch."""
    weights = tmp_path / "fine_tuned.pth"
    weights.write_bytes(b"any")
    script = (
        "import sys, pathlib; from remask_models import registry; "
        "registry.version('grabcut'); "
        f"print(registry.version('sam_vit_b', weights=pathlib.Path({str(weights)!r}))); "
        "sys.exit('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "sam_vit_b@d6a7cd2a7371"


def test_version_is_the_loaded_models_version() -> None:
    assert registry.load("grabcut").version == registry.version("grabcut")
    assert registry.version("grabcut").startswith("grabcut@")


def test_grabcut_has_no_weights() -> None:
    with pytest.raises(InputError, match="`weights` must be absent"):
        registry.load("grabcut", weights=Path("x.pth"))


@pytest.mark.parametrize("call", [registry.load, registry.version])
def test_missing_weights_say_how_to_get_them(call: object, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="remask models pull sam_vit_l") as caught:
        call("sam_vit_l", model_dir=tmp_path)  # type: ignore[operator]

    assert str(tmp_path / "sam_vit_l_0b3195.pth") in str(caught.value)
    assert "https://dl.fbaipublicfiles.com/" in str(caught.value)


@pytest.mark.parametrize("call", [registry.load, registry.version])
def test_a_wrong_file_under_a_published_name_is_refused(call: object, tmp_path: Path) -> None:
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"truncated")

    with pytest.raises(InputError, match=r"must be the published sam_vit_b_01ec64\.pth"):
        call("sam_vit_b", model_dir=tmp_path)  # type: ignore[operator]


def test_weights_of_the_hub_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"remask models pull sam2\.1_hiera_tiny") as caught:
        registry.version("sam2.1_hiera_tiny", model_dir=tmp_path)

    assert str(tmp_path / "sam2.1_hiera_tiny.safetensors") in str(caught.value)
    assert "https://huggingface.co/facebook/sam2.1-hiera-tiny" in str(caught.value)


def test_a_teams_own_model_is_loaded_by_its_factory() -> None:
    assert isinstance(registry.load("fakes:load_toy"), fakes.ToySegmenter)


@pytest.mark.parametrize("name", ["fakes:load_toy", "fakes:ToySegmenter"])
def test_a_teams_own_model_says_its_version(name: str) -> None:
    assert registry.version(name) == "toy@000000000000"


def test_a_factory_gets_what_it_has_parameters_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def factory(*, device: str, weights: Path | None) -> tuple[str, Path | None]:
        return device, weights

    monkeypatch.setattr(fakes, "mine", factory, raising=False)

    assert ("cuda:1", Path("w.pt")) == registry.load(
        "fakes:mine", weights=Path("w.pt"), device="cuda:1"
    )


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("no_such_module_here:load", NotFound, "not importable"),
        ("fakes.deeper:load", NotFound, "not importable"),
        ("fakes:absent", NotFound, "'absent'"),
        ("fakes:np", InputError, "callable"),
        (":load", InputError, "package.module:factory"),
        ("fakes:", InputError, "package.module:factory"),
    ],
)
def test_a_factory_that_is_not_there_is_named(
    name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        registry.load(name)


def test_weights_for_a_factory_that_takes_none_are_refused() -> None:
    with pytest.raises(InputError, match="fakes:load_toy takes none"):
        registry.load("fakes:load_toy", weights=Path("w.pt"))
