"""The tags of a labelling configuration's XML, read in one pass.

Anybody who may edit a project can write a labelling configuration, and every request carries it. So
the work grows with the length of the document alone, however its tags nest and refer to each other.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from remask_core.errors import InputError

__all__ = ["MAX_XML_CHARS", "ConfigProblem", "Tag", "read_tags"]

MAX_XML_CHARS = 1_000_000

_CHILDREN = ("Label", "Choice")


class ConfigProblem(InputError):
    """The labelling configuration lacks something; the message says what to add."""

    code = "labelling-config"


@dataclass(frozen=True, slots=True, eq=False)
class Tag:
    """A tag of a labelling configuration.

    Attributes:
        tag: Such as `BrushLabels`.
        attributes: As they stand in the document.
        labels: The `<Label>` or `<Choice>` tags for which this is the nearest tag of those that
            were asked for, by their alias or else their value.
    """

    tag: str
    attributes: Mapping[str, str]
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name; empty where it has none."""
        return self.attributes.get("name", "")

    @property
    def targets(self) -> list[str]:
        """The names that `toName` points at, each once."""
        names = self.attributes.get("toName", "").split(",")
        return list(dict.fromkeys(name.strip() for name in names))


def read_tags(xml: str, wanted: Container[str]) -> list[Tag]:
    """Return the tags of a labelling configuration that are called as one of `wanted`, in order.

    Args:
        xml: As Label Studio stores and sends it. Document types are refused, so entities cannot
            expand.
        wanted: Names such as `Image`.

    Raises:
        ConfigProblem: It is not XML, or too long.
    """
    found: list[tuple[ElementTree.Element, list[str]]] = []
    # A stack instead of a recursion, because nothing bounds how deep a document nests.
    stack: list[tuple[ElementTree.Element, list[str]]] = [(_parse(xml), [])]
    while stack:
        element, labels = stack.pop()
        if element.tag in wanted:
            labels = []
            found.append((element, labels))
        elif element.tag in _CHILDREN and (label := element.get("alias") or element.get("value")):
            labels.append(label)
        stack.extend((child, labels) for child in reversed(element))
    return [Tag(element.tag, element.attrib, tuple(labels)) for element, labels in found]


def _parse(xml: str) -> ElementTree.Element:
    if len(xml) > MAX_XML_CHARS:
        raise ConfigProblem(
            f"labelling config must have at most {MAX_XML_CHARS:,} characters; got {len(xml):,}"
        )
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise ConfigProblem("labelling config must not declare a document type or entities")
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError) as error:
        raise ConfigProblem(f"labelling config is not well-formed XML: {error}") from error
