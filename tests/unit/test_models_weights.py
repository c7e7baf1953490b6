from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from remask_core.errors import InputError, NotFound
from remask_models import catalogue as catalogue_module
from remask_models import weights
from remask_models.catalogue import catalogue
from remask_models.hub import Source, locate_hub, write_source
from remask_models.weights import CHECKPOINTS, checkpoint, digest, locate, verify


def test_published_digests_are_whole() -> None:
    for known in CHECKPOINTS.values():
        assert len(bytes.fromhex(known.sha256)) == 32
        assert known.url.endswith(known.file_name)


def test_a_model_without_published_weights_is_answered_with_those_that_have() -> None:
    with pytest.raises(InputError, match="sam_vit_b, sam_vit_l, sam_vit_h"):
        checkpoint("grabcut")


def test_digest_is_the_sha256_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"weights")

    assert hashlib.sha256(b"weights").hexdigest() == digest(path)


def test_a_small_file_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"weights")

    digest(path)

    assert [path] == list(tmp_path.iterdir())


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large."""
    monkeypatch.setattr(weights, "_SIDECAR_FROM_BYTES", 1)
    path = tmp_path / "w"
    path.write_bytes(b"one")
    return path


def test_a_large_files_digest_is_remembered_while_it_is_the_same(large: Path) -> None:
    first, stat = digest(large), large.stat()
    large.write_bytes(b"two")
    os.utime(large, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert first == digest(large)
    assert hashlib.sha256(b"two").hexdigest() == digest(large, fresh=True)
    assert digest(large, fresh=True) == digest(large)


def test_a_large_file_that_changed_is_hashed_again(large: Path) -> None:
    digest(large)
    large.write_bytes(b"three")

    assert hashlib.sha256(b"three").hexdigest() == digest(large)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": 3}', "\xff"])
def test_a_broken_memory_is_not_believed(large: Path, content: str) -> None:
    large.with_name("w.sha256.json").write_text(content, encoding="latin-1")

    assert hashlib.sha256(b"one").hexdigest() == digest(large)


def test_digest_of_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none at"):
        digest(tmp_path / "w")


def test_a_file_named_by_the_caller_may_be_any(tmp_path: Path) -> None:
    path = tmp_path / "fine_tuned.pth"
    path.write_bytes(b"mine")

    assert path == locate("sam_vit_b", weights=path)
    assert verify(path) is None


def test_verify_for_a_model_refuses_another_file(tmp_path: Path) -> None:
    path = tmp_path / "sam_vit_b_01ec64.pth"
    path.write_bytes(b"mine")

    with pytest.raises(InputError, match="fine-tuned weights"):
        verify(path, name="sam_vit_b")


def test_catalogue_tells_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = tmp_path / "convnet"
    bundled.write_bytes(b"bundled")
    monkeypatch.setattr(catalogue_module, "BUNDLED_CONVNET", bundled)
    (tmp_path / "sam_vit_b_01ec64.pth").write_bytes(b"broken")

    by_hand, pulled, changed = (
        tmp_path / f"{name}.safetensors"
        for name in ("sam_hq_vit_b", "sam2.1_hiera_tiny", "edgetam")
    )
    for path in (by_hand, pulled, changed):
        path.write_bytes(b"weights")
    for path, sha256 in ((pulled, digest(pulled)), (changed, "0" * 64)):
        write_source(path, Source("owner/name", "c" * 40, sha256, 7, "Apache-2.0"))

    states = {row.name: row.state for row in catalogue(tmp_path)}

    assert states == {
        "convnet": "bundled",
        "grabcut": "no weights",
        "sam_vit_b": "wrong",
        "sam_vit_l": "missing",
        "sam_vit_h": "missing",
        "sam2.1_hiera_tiny": "verified",
        "sam2.1_hiera_small": "missing",
        "sam2.1_hiera_base_plus": "missing",
        "sam2.1_hiera_large": "missing",
        "sam_hq_vit_b": "unverified",
        "sam_hq_vit_l": "missing",
        "sam_hq_vit_h": "missing",
        "edgetam": "wrong",
        "sam3_tracker": "missing",
    }
    assert by_hand == locate_hub("sam_hq_vit_b", model_dir=tmp_path)
    assert pulled == locate_hub("sam2.1_hiera_tiny", model_dir=tmp_path)
    with pytest.raises(InputError, match="must be the file that was pulled from owner/name"):
        locate_hub("edgetam", model_dir=tmp_path)
