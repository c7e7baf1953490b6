"""Every error class has a status, and messages cannot break out of a status line."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import remask_campaigns
import remask_core
import remask_files
import remask_images
import remask_label_config
import remask_label_studio
import remask_models
import remask_service
import remask_storage
import remask_worker
from remask_core.errors import InputError, RemaskError, Unavailable
from remask_service.web.failures import STATUS, reason_phrase, status_of
from remask_worker.calls import Expired

PACKAGES = (
    remask_campaigns,
    remask_core,
    remask_files,
    remask_images,
    remask_label_config,
    remask_label_studio,
    remask_models,
    remask_service,
    remask_storage,
    remask_worker,
)


def _all_below(kind: type[RemaskError]) -> set[type[RemaskError]]:
    return {kind}.union(*(_all_below(child) for child in kind.__subclasses__()))


def _of_our_packages() -> set[type[RemaskError]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Models bring torch along, which no test of the service needs; their errors are core's.
            if package is not remask_models and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    names = {package.__name__ for package in PACKAGES}
    return {kind for kind in _all_below(RemaskError) if kind.__module__.split(".")[0] in names}


def test_every_error_class_stands_in_the_table() -> None:
    missing = {kind.__qualname__ for kind in _of_our_packages() - STATUS.keys()}

    assert not missing


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in _of_our_packages()]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", [kind for kind in STATUS if issubclass(kind, InputError)])
def test_what_the_caller_did_wrong_is_never_our_fault(kind: type[RemaskError]) -> None:
    assert 400 <= STATUS[kind] < 500


def test_a_class_that_is_not_in_the_table_has_the_status_of_its_parent() -> None:
    class Newcomer(Expired):
        """Unknown to the table."""

    assert status_of(Newcomer("late")) == 504
    assert status_of(Unavailable("later")) == 503


def test_a_reason_phrase_is_one_short_line_of_plain_characters() -> None:
    phrase = reason_phrase("bad `ä`\r\nSet-Cookie: x=1\x00" + "y" * 1000)

    assert phrase.isascii()
    assert phrase.isprintable()
    assert len(phrase) == 300


def test_an_empty_message_gives_an_empty_reason() -> None:
    assert reason_phrase("\n") == ""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'add <BrushLabels name="brush"> with a <Label value="x"/>',
            'add BrushLabels name="brush" with a Label value="x"',
        ),
        ("<Image> has no name", "Image has no name"),
        ("0 <= x < 640 and y > 3", "0 <= x < 640 and y > 3"),
    ],
)
def test_tags_are_named_without_the_brackets_that_label_studio_removes(
    message: str, expected: str
) -> None:
    assert reason_phrase(message) == expected
