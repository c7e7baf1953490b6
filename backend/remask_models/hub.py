"""Weights on the Hugging Face Hub: which repository each model has, and what was pulled from it.

The Hub declares the SHA-256 and the commit of a file when it is asked for. No digest of these
files is known here beforehand; so the first pull takes what the Hub declares, checks the file
against it, and writes both beside the file. From then on the file must have that digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from remask_core.errors import InputError, NotFound
from remask_models.weights import default_model_dir, digest

__all__ = [
    "HUB_FILES",
    "HUB_URL",
    "HubFile",
    "Source",
    "locate_hub",
    "read_source",
    "verify_hub",
    "write_source",
]

HUB_URL = "https://huggingface.co"
_APACHE_URL = "https://www.apache.org/licenses/LICENSE-2.0"


@dataclass(frozen=True, slots=True)
class HubFile:
    """The weights of a model in a repository of the Hub.

    Attributes:
        name: The model they belong to.
        repository: Owner and name of the repository.
        licence: Name of the weights' terms.
        licence_url: Where the terms can be read.
        must_accept: Whether the terms are more than a free licence, so that whoever pulls must
            say that they accept them, and must have been given access with an account.
        hub_name: The file's name in the repository.
    """

    name: str
    repository: str
    licence: str = "Apache-2.0"
    licence_url: str = _APACHE_URL
    must_accept: bool = False
    hub_name: str = "model.safetensors"

    @property
    def file_name(self) -> str:
        """Name of the file in the model folder."""
        return f"{self.name}.safetensors"

    @property
    def page(self) -> str:
        """Address of the repository's page."""
        return f"{HUB_URL}/{self.repository}"


HUB_FILES: Mapping[str, HubFile] = MappingProxyType(
    {
        known.name: known
        for known in (
            HubFile("sam2.1_hiera_tiny", "facebook/sam2.1-hiera-tiny"),
            HubFile("sam2.1_hiera_small", "facebook/sam2.1-hiera-small"),
            HubFile("sam2.1_hiera_base_plus", "facebook/sam2.1-hiera-base-plus"),
            HubFile("sam2.1_hiera_large", "facebook/sam2.1-hiera-large"),
            HubFile("sam_hq_vit_b", "syscv-community/sam-hq-vit-base"),
            HubFile("sam_hq_vit_l", "syscv-community/sam-hq-vit-large"),
            HubFile("sam_hq_vit_h", "syscv-community/sam-hq-vit-huge"),
            HubFile("edgetam", "yonigozlan/EdgeTAM-hf"),
            HubFile(
                "sam3_tracker",
                "facebook/sam3",
                licence="SAM License",
                licence_url="https://huggingface.co/facebook/sam3/blob/main/LICENSE",
                must_accept=True,
            ),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pulled file came from; kept in `<file>.source.json` beside it.

    Attributes:
        repository: Owner and name on the Hub.
        revision: The commit, 40 hexadecimal digits.
        sha256: What the Hub declared, and what the file had.
        size_bytes: Its length.
        licence: The terms that were shown.
    """

    repository: str
    revision: str
    sha256: str
    size_bytes: int
    licence: str


def _source_path(path: Path) -> Path:
    return path.with_name(path.name + ".source.json")


def read_source(path: Path) -> Source | None:
    """Return where the weights file at `path` was pulled from; None if no record can be read."""
    try:
        content = json.loads(_source_path(path).read_text(encoding="utf-8"))
        source = Source(**content)
    except (OSError, ValueError, TypeError):
        return None
    return source if isinstance(source.sha256, str) else None


def write_source(path: Path, source: Source) -> None:
    """Keep beside the weights file at `path` where it was pulled from."""
    partial = _source_path(path).with_suffix(".part")
    partial.write_text(json.dumps(asdict(source), indent=1), encoding="utf-8")
    partial.replace(_source_path(path))


def verify_hub(path: Path, *, name: str | None = None) -> Source | None:
    """Return the record of a file that was pulled from the Hub, after reading all of the file.

    Args:
        path: The file.
        name: The model whose file it must be; None for any.

    Returns:
        None when the file has no record and no model was named.

    Raises:
        NotFound: There is no such file.
        InputError: It is not what was pulled, or not of the model `name`, or has no record.
    """
    sha256 = digest(path, fresh=True)
    source = read_source(path)
    if source is None and name is None:
        return None
    if source is None:
        raise InputError(
            f"{path} has no record of where it came from, and no digest of {name} is known but "
            f"by pulling it; its SHA-256 is {sha256}"
        )
    if name is not None and source.repository != HUB_FILES[name].repository:
        raise InputError(
            f"{path} must be from {HUB_FILES[name].repository}, the repository of {name}; it was "
            f"pulled from {source.repository}"
        )
    _check(path, source, sha256)
    return source


def locate_hub(name: str, *, weights: Path | None = None, model_dir: Path | None = None) -> Path:
    """Return the weights file of a model whose weights are on the Hub.

    A file that was put there by hand has no record of its source and is taken as it is.

    Args:
        name: A name in `HUB_FILES`.
        weights: The file, named by the caller.
        model_dir: Where to look otherwise; None is `default_model_dir()`.

    Raises:
        NotFound: The file is not there; the message says how to get it.
        InputError: The file in the model folder is not the one that was pulled.
    """
    if weights is not None:
        if not weights.is_file():
            raise NotFound(f"`weights` must be an existing file; there is none at {weights}")
        return weights
    known = HUB_FILES[name]
    path = (model_dir or default_model_dir()) / known.file_name
    if not path.is_file():
        raise NotFound(
            f"The weights of {name} are not at {path}. Run `remask models pull {name}`, or fetch "
            f"{known.hub_name} of {known.page} by hand and put it there under that name"
        )
    source = read_source(path)
    if source is not None:
        _check(path, source, digest(path))
    return path


def _check(path: Path, source: Source, sha256: str) -> None:
    if sha256 != source.sha256:
        raise InputError(
            f"{path} must be the file that was pulled from {source.repository}, with SHA-256 "
            f"{source.sha256}; its SHA-256 is {sha256}. Move it away and pull it again; "
            "fine-tuned weights are taken when their path is given as `weights`"
        )
