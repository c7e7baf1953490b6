"""Finding the image that a mask was drawn on in the data of its task.

A region names an `<Image>` tag in its `to_name`, and the labelling configuration says from which
key of the task's data the tag takes its image. Label Studio's JSON export does not hold the
configuration. `remask export fetch` writes it beside the export, and `--config` gives it for an
export from elsewhere.

Without a configuration the tags' names and the data decide. A mask whose image that leaves open is
left out and named: a mask on the wrong image is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from remask_core.errors import NotFound
from remask_files.text import read_text
from remask_label_config.labelling_config import ConfigProblem, ImageTag, parse_image_tags

__all__ = ["ImageKeys", "ImagePlace", "addresses_only", "config_beside", "read_image_tags"]

_IMAGE_FILE = re.compile(r"\.(avif|bmp|gif|heic|jpe?g|png|svg|tiff?|webp)$", re.IGNORECASE)
_ADDRESS = re.compile(r"(/|[A-Za-z][A-Za-z0-9+.-]*://)\S*$")


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image was found in a task's data.

    Attributes:
        address: A URL or a path.
        key: Of the task's data; empty where the configuration puts the address together.
        is_assumed: Whether neither a configuration nor a common name ties the tag to the key.
    """

    address: str
    key: str = ""
    is_assumed: bool = False


@dataclass(frozen=True, slots=True)
class ImageKeys:
    """Finds the address of the image that a region was drawn on.

    Attributes:
        tags: The `<Image>` tags of the labelling configuration, by name; empty without one.
        names: Names of the tags that masks of the export were drawn on.
    """

    tags: Mapping[str, ImageTag] = field(default_factory=dict)
    names: Sequence[str] = ()

    def find(self, data: Mapping[str, Any], tag: str, index: int | None) -> ImagePlace:
        """Return the image in a task's data that the tag called `tag` shows.

        Args:
            data: Of the task.
            tag: A region's `to_name`.
            index: A region's `item_index`; None for a tag that shows one image.

        Raises:
            NotFound: The data hold no such image, or do not say which one it is.
        """
        if self.tags:
            return self._by_config(data, tag, index)
        values = _image_values(data, index=index or 0)
        own = data.get(tag)
        if isinstance(own, (str, list)) and own:
            entries = dict(_entries(_as_list(own)))
            if entries.get(index or 0):
                return ImagePlace(entries[index or 0], tag)
            raise NotFound(f"task data `{tag}` must hold an image at index {index or 0}")
        rest = _natural_order({tag, *self.names} - set(data))
        free = {key: value for key, value in values.items() if key not in self.names}
        if len(free) == 1:
            [(key, address)] = free.items()
            return ImagePlace(address, key)
        if len(rest) == 1 and "image" in free:
            return ImagePlace(free["image"], "image")
        matched = _matched(rest, list(free)).get(tag)
        if matched is not None:
            return ImagePlace(free[matched], matched, is_assumed=True)
        keys = ", ".join(f"`{key}`" for key in free) or "none that looks like the address of one"
        raise NotFound(
            f"the labelling configuration must say which value of the task's data the image tag "
            f"`{tag}` shows; without it, these come into question: {keys}"
        )

    def every_address(self, data: Mapping[str, Any], drawn_on: Iterable[str]) -> Iterator[str]:
        """Yield the addresses of all images that the tags show of a task.

        Args:
            data: Of the task.
            drawn_on: Names of the tags that masks of the task were drawn on.
        """
        longest = max((len(_as_list(value)) for value in data.values()), default=0)
        named = {*drawn_on, *(set(self.names) & set(data))}
        for tag in sorted(self.tags or named or self.names):
            shows_one = tag in self.tags and not self.tags[tag].several
            for index in range(1 if shows_one else longest):
                try:
                    yield self.find(data, tag, index).address
                except NotFound:
                    break

    def _by_config(self, data: Mapping[str, Any], tag: str, index: int | None) -> ImagePlace:
        found = self.tags.get(tag)
        if found is None and not tag and len(self.tags) == 1:
            [found] = self.tags.values()
        if found is None:
            known = ", ".join(f"`{name}`" for name in self.tags)
            raise NotFound(f"`to_name` must be an image of the labelling configuration ({known})")
        return ImagePlace(found.url(data, item_index=index or 0), found.value.lstrip("$"))


def config_beside(source: Path) -> Path:
    """Return where the labelling configuration of an export lies: `a.json` has `a.config.xml`."""
    return source.with_name(f"{source.stem}.config.xml")


def read_image_tags(path: Path) -> dict[str, ImageTag]:
    """Return the `<Image>` tags of a labelling configuration in a file, by name.

    Raises:
        NotFound: There is no such file.
        InputError: It cannot be read, is no labelling configuration, or has no image.
    """
    xml = read_text(path, name="--config")
    try:
        return {tag.name: tag for tag in parse_image_tags(xml)}
    except ConfigProblem as error:
        raise ConfigProblem(f"`{path}`: {error}") from error


def addresses_only(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's data without what cannot be the address of an image, to be kept for all."""
    return {
        key: value
        for key, value in data.items()
        if any(_may_be_address(text) for _, text in _entries(_as_list(value)))
    }


def _image_values(data: Mapping[str, Any], *, index: int) -> dict[str, str]:
    """Return the values of a task's data that may be addresses of images, by key.

    File names of images go before other addresses: those count only where there are none. Of a
    list the entry at `index` is taken; what is no list has one entry.
    """
    texts = {
        key: text
        for key, value in data.items()
        for place, text in _entries(_as_list(value))
        if place == index
    }
    files = {key: text for key, text in texts.items() if _names_image_file(text)}
    return files or {key: text for key, text in texts.items() if _ADDRESS.match(text)}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _may_be_address(text: str) -> bool:
    return _names_image_file(text) or not re.search(r"\s", text)


def _entries(values: Sequence[Any]) -> Iterator[tuple[int, str]]:
    return ((place, text) for place, text in enumerate(values) if isinstance(text, str))


def _names_image_file(text: str) -> bool:
    if text.startswith("data:image/"):
        return True
    if "\n" in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    # Local files stand in the query; some storages have the path of the file there as well.
    named = [parts.path, *(value for some in parse_qs(parts.query).values() for value in some)]
    return any(_IMAGE_FILE.search(name) for name in named)


def _matched(tags: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return the key of each tag, by what their names have in common or by numbers in the tags.

    Args:
        tags: In natural order: `im2` before `im10`.
        keys: In the order of the task's data.

    Returns:
        Empty where the tags and keys are not as many, or nothing ties them.
    """
    if len(tags) != len(keys) or len(tags) < 2:
        return {}
    own_parts = _without_common(tags)
    pairs = {
        tag: [key for key in keys if _alike(part, key)]
        for tag, part in zip(tags, own_parts, strict=True)
    }
    if len({fitting[0] for fitting in pairs.values() if len(fitting) == 1}) == len(tags):
        return {tag: fitting[0] for tag, fitting in pairs.items()}
    if all(part.isdecimal() for part in own_parts):
        return dict(zip(tags, keys, strict=True))
    return {}


def _without_common(names: Sequence[str]) -> list[str]:
    """Return what is left of names without the beginning and the end that all of them share."""
    # A number stays whole: `im1` and `im10` share `im`.
    start = len(_common_start(names).rstrip("0123456789"))
    end = len(_common_start([name[start:][::-1] for name in names]))
    return [name[start : len(name) - end].strip("_-. ").lower() for name in names]


def _common_start(names: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike)


def _alike(part: str, key: str) -> bool:
    """Whether a tag's own part of its name is in the key, or begins it if it is a letter."""
    key = key.lower()
    return bool(part) and (key.startswith(part) if len(part) == 1 else part in key)


def _natural_order(names: set[str]) -> list[str]:
    """Return names in the order in which people count: `im2` before `im10`."""
    return sorted(
        names,
        key=lambda name: [
            (text, int(number or -1)) for text, number in re.findall(r"(\D*)(\d*)", name)
        ],
    )
