"""The file names of images in an export: one name for one image, in every format.

The name follows the image's address. Where two images of a project would share it, both get a
longer one: with the folders of the address, then with its host, at last with a digest of the
address. Names depend on all images of the project, not on what is selected, so that every export
of a project gives an image the same name.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from pathlib import PurePosixPath
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

__all__ = ["ImageNames", "clean_name", "digest_of_address", "file_name_of", "name_images"]

_MOST_BYTES_IN_PART = 200
"""File systems take 255; formats append an ending and a digest of their own."""
_MOST_BYTES = 1000
_REPLACED = str.maketrans("\0:", "__")
_NO_NAMES = frozenset(("", ".", ".."))


@dataclass(frozen=True, slots=True)
class ImageNames:
    """Gives each image of an export its file name.

    Attributes:
        original: What images are called in the file that a campaign was made from, by address.
        renamed: Addresses whose name is not `first_name`, and their name.
        shared_stems: File names without folder and ending that several images have.
    """

    original: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    shared_stems: frozenset[str] = frozenset()

    def name(self, address: str) -> str:
        """Return the relative path of the image file, with forward slashes."""
        return self.renamed.get(address) or self.first_name(address)

    def first_name(self, address: str) -> str:
        """Return the name that the image has if no other image shares it."""
        return self.original.get(address) or file_name_of(address)

    def has_own_stem(self, address: str) -> bool:
        """Whether no other image has the same file name without folder and ending."""
        return _key(self.name(address)).rpartition("/")[2] not in self.shared_stems


def name_images(
    addresses: Iterable[str], *, original: Mapping[str, str] | None = None
) -> ImageNames:
    """Return names for the images at `addresses`, no two of which are alike.

    An image keeps the name that it has in `original`, by its address, if that is no other's.

    Two names are alike if a file system, or a format that replaces the ending, could take one for
    the other: upper and lower case, two ways to write an accent, `a.jpg` and `a.png`, `a.jpg` and
    `images/a.jpg`.
    """
    known = sorted(set(addresses))
    first = ImageNames({key: clean_name(name) for key, name in (original or {}).items()})
    names = dict.fromkeys(known, "")
    alike = known
    keys = dict(names)
    for form in (first.first_name, *_FORMS):
        for address in alike:
            names[address] = form(address)
            keys[address] = _key(names[address])
        counts = Counter(keys.values())
        alike = [address for address in known if counts[keys[address]] > 1]
        if not alike:
            break
    stems = Counter(key.rpartition("/")[2] for key in keys.values())
    return ImageNames(
        original=first.original,
        renamed={
            address: name for address, name in names.items() if name != first.first_name(address)
        },
        shared_stems=frozenset(stem for stem, count in stems.items() if count > 1),
    )


def file_name_of(address: str) -> str:
    """Return a relative file name for an image's address, with forward slashes.

    Local files keep their path below the served folder; of everything else the last part of the
    path is taken. Nothing that leads upwards or out of a folder is ever returned, and no part is
    longer than file systems allow.
    """
    parts = _split(address)
    path = _local_path(parts) or unquote(parts.path).rpartition("/")[2]
    return _clean(path, address)


def clean_name(name: str) -> str:
    """Return a file name as exports write it: relative, with forward slashes, not too long."""
    return _clean(name, name)


def digest_of_address(address: str, *, size: int) -> str:
    """Return a digest of an image's address, `size` bytes in hexadecimal digits."""
    return blake2s(address.encode(), digest_size=size).hexdigest()


def _with_folders(address: str) -> str:
    parts = _split(address)
    return _clean(_local_path(parts) or unquote(parts.path), address)


def _with_host(address: str) -> str:
    parts = _split(address)
    return _clean(f"{parts.netloc}/{_local_path(parts) or unquote(parts.path)}", address)


def _with_digest(address: str) -> str:
    name = PurePosixPath(file_name_of(address))
    return str(name.with_name(f"{name.stem}-{digest_of_address(address, size=6)}{name.suffix}"))


_FORMS: tuple[Callable[[str], str], ...] = (
    file_name_of,
    _with_folders,
    _with_host,
    _with_digest,
)


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", address, "", "")


def _local_path(parts: SplitResult) -> str:
    return parse_qs(parts.query).get("d", [""])[0] if "local-files" in parts.path else ""


def _clean(path: str, address: str) -> str:
    plain = path.replace("\\", "/").translate(_REPLACED)
    *folders, last = [part for part in plain.split("/") if part not in _NO_NAMES] or ["image"]
    # A folder `a.txt` would be where the label file of an image `a.png` belongs.
    folders = [f"{part[:-4]}_txt" if part.lower().endswith(".txt") else part for part in folders]
    parts = [_short(part, address) for part in (*folders, last)]
    while len(parts) > 1 and len("/".join(parts).encode()) > _MOST_BYTES:
        parts = [_short(last, address, must=True)]
    return "/".join(parts)


def _short(part: str, address: str, *, must: bool = False) -> str:
    """Return a part of a path, cut where it is too long, with a digest of the whole address."""
    if not must and len(part.encode()) <= _MOST_BYTES_IN_PART:
        return part
    stem, dot, ending = part.rpartition(".")
    if not stem or len(ending.encode()) > 10:
        stem, dot, ending = part, "", ""
    digest = digest_of_address(address, size=6)
    cut = stem.encode()[: _MOST_BYTES_IN_PART - 30].decode(errors="ignore")
    return f"{cut}-{digest}{dot}{ending}"


def _key(name: str) -> str:
    """Return what two names have in common if they are alike: see `name_images`."""
    folder, slash, last = name.rpartition("/")
    dot = last.rfind(".")
    stem = last[:dot] if 0 < dot < len(last) - 1 else last
    return _fold(f"{folder}{slash}{stem}".removeprefix("images/"))


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
