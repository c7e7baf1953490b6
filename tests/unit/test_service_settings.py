"""Settings are read once, and a slip in their names or values is told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from remask_core.errors import InputError
from remask_service.settings import Settings, settings_markdown

ROOT = Path(__file__).parents[2]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environ({}) == Settings()


def test_conventional_and_own_variables_are_read(tmp_path: Path) -> None:
    settings = Settings.from_environ(
        {
            "LABEL_STUDIO_URL": "https://labels.example.org/ls",
            "LABEL_STUDIO_API_KEY": "secret-key",
            "BASIC_AUTH_USER": "me",
            "BASIC_AUTH_PASS": "secret-pass",
            "PORT": "21001",
            "LOG_LEVEL": "debug",
            "REMASK_ALLOWED_HOSTS": "images.example.org, *.Example.com,",
            "REMASK_LOCAL_FILES_ROOT": str(tmp_path),
            "REMASK_FETCH_TIMEOUT_S": "2.5",
            "PATH": "/bin",
        }
    )

    assert settings.port == 21001
    assert settings.log_level == "DEBUG"
    assert settings.allowed_hosts == ("images.example.org", "*.example.com")
    assert settings.local_files_root == tmp_path
    assert settings.fetch_timeout_s == 2.5
    assert "secret" not in repr(settings)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"PORT": " ", "DEVICE": ""}) == Settings()


def test_the_command_line_wins_over_the_environment() -> None:
    settings = Settings.from_environ(
        {"PORT": "21001", "REMASK_MODEL": "grabcut"}, overrides={"port": 21002, "model": None}
    )

    assert (settings.port, settings.model) == (21002, "grabcut")


def test_an_unknown_variable_is_refused_with_the_nearest_known_name() -> None:
    with pytest.raises(InputError, match=r"REMASK_CASH_MB.*did you mean REMASK_CACHE_MB"):
        Settings.from_environ({"REMASK_CASH_MB": "1"})


@pytest.mark.parametrize(
    "environ",
    [
        {"PORT": "ninety"},
        {"PORT": "70000"},
        {"REMASK_CACHE_MB": "0"},
        {"REMASK_THREADS": "2"},
        {"LOG_LEVEL": "chatty"},
        {"LABEL_STUDIO_URL": "labels.example.org"},
        {"LABEL_STUDIO_URL": "http://me:secret@labels.example.org"},
        {"LABEL_STUDIO_API_KEY": "secret"},
        {"BASIC_AUTH_USER": "me"},
        {"BASIC_AUTH_PASS": "secret"},
        {"BASIC_AUTH_USER": "a:b", "BASIC_AUTH_PASS": "secret"},
        {"REMASK_LOCAL_FILES_ROOT": "/does/not/exist"},
        {"REMASK_MODEL_THREADS": "0"},
        {"REMASK_ENGINE": "cloud"},
        {"REMASK_ENGINE": "ray"},
        {"REMASK_ENGINE": "ray", "REMASK_RAY_ADDRESS": "ray://head:10001"},
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(environ: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        Settings.from_environ(environ)

    assert any(name in str(caught.value) for name in environ)
    assert "secret" not in str(caught.value)


def test_the_state_database_is_shown_without_its_password() -> None:
    settings = Settings(state_url="postgresql+psycopg://me:secret@db.example.org/remask?x=secret")

    assert settings.shown_state_place == "postgresql+psycopg://db.example.org/remask"


def test_the_page_on_settings_is_up_to_date() -> None:
    """`make docs` writes it."""
    assert (ROOT / "docs" / "settings.md").read_text() == settings_markdown()


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        ({}, 0),
        ({"REMASK_HOST": "localhost"}, 0),
        ({"REMASK_HOST": "::1"}, 0),
        ({"REMASK_HOST": "127.0.0.2"}, 0),
        ({"REMASK_HOST": "0.0.0.0"}, 1),
        ({"REMASK_HOST": "::"}, 1),
        ({"REMASK_HOST": "backend.example.org"}, 1),
        ({"REMASK_HOST": "0.0.0.0", "BASIC_AUTH_USER": "a", "BASIC_AUTH_PASS": "b"}, 0),
    ],
)
def test_an_open_address_without_authentication_warns(environ: dict[str, str], count: int) -> None:
    warnings = Settings.from_environ(environ).warnings

    assert len(warnings) == count
    assert all("BASIC_AUTH_USER" in sentence for sentence in warnings)
