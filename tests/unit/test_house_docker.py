"""The compose file and the Dockerfile, read: no engine runs where the tests do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from remask_service.settings import Settings

ROOT = Path(__file__).parents[2]
# Label Studio's own, as its documentation names them.
LABEL_STUDIO_KNOWS = re.compile(
    r"(LABEL_STUDIO_(HOST|USERNAME|PASSWORD|USER_TOKEN|ENABLE_LEGACY_API_TOKEN))"
    r"|ML_BLOCK_LOCAL_IP|SSRF_PROTECTION_ENABLED"
    r"|COLLECT_ANALYTICS|LATEST_VERSION_CHECK|SENTRY_DSN|FRONTEND_SENTRY_DSN"
)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "backend" / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def substituted(value: str) -> str:
    """What Compose makes of `value` when only the variables it insists on are set."""
    value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "given", value)


def test_each_profile_has_one_backend_behind_the_proxy_that_is_called_backend(compose) -> None:
    backends = {
        name: service
        for name, service in compose["services"].items()
        if name.startswith("backend-")
    }
    assert {"cpu", "gpu"} == {service["profiles"][0] for service in backends.values()}
    for service in backends.values():
        assert service["networks"]["default"]["aliases"] == ["backend-app"]
    proxy = compose["services"]["proxy"]
    assert proxy["profiles"] == ["cpu", "gpu"]
    assert proxy["networks"]["default"]["aliases"] == ["backend"]


def test_the_proxy_takes_requests_whole_and_as_large_as_the_backend_does(compose) -> None:
    (config,) = compose["services"]["proxy"]["configs"]
    text = (ROOT / compose["configs"][config["source"]]["file"]).read_text()

    assert "proxy_request_buffering on;" in text
    assert f"client_max_body_size {Settings().max_request_mb}m;" in text
    assert re.findall(r"set \$backend (\S+);", text) == ["http://backend-app:9090"] * 2


def test_label_studio_runs_in_every_profile(compose) -> None:
    assert "profiles" not in compose["services"]["label-studio"]


@pytest.mark.parametrize("name", ["backend-cpu", "backend-gpu"])
def test_every_variable_of_a_backend_is_a_setting(compose, name) -> None:
    environ = compose["services"][name]["environment"]

    settings = Settings.from_environ({key: substituted(v) for key, v in environ.items()})

    assert settings.label_studio_url == "http://label-studio:8080"


def test_only_the_gpu_profile_asks_for_a_gpu(compose) -> None:
    cpu, gpu = compose["services"]["backend-cpu"], compose["services"]["backend-gpu"]

    assert "deploy" not in cpu
    assert cpu["environment"]["DEVICE"] == "cpu"
    assert gpu["environment"]["DEVICE"] == "cuda"
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_both_address_guards_of_label_studio_are_lifted(compose) -> None:
    environ = compose["services"]["label-studio"]["environment"]

    assert environ["ML_BLOCK_LOCAL_IP"] == "false"
    assert environ["SSRF_PROTECTION_ENABLED"] == "false"
    assert [key for key in environ if not LABEL_STUDIO_KNOWS.fullmatch(key)] == []


def test_nothing_is_published_beyond_the_own_machine(compose) -> None:
    published = [
        port for service in compose["services"].values() for port in service.get("ports", [])
    ]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_no_secret_has_a_default(compose) -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert re.findall(r"\$\{(\w*(?:PASS|KEY|TOKEN)\w*):-", text) == []


def test_named_volumes_exist_and_data_is_on_them(compose) -> None:
    used = {
        mount.split(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", ())
    }
    assert used == set(compose["volumes"])


def test_versions_are_pinned(compose, instructions) -> None:
    images = [compose["services"][name]["image"] for name in ("label-studio", "proxy")]
    images += [words.split()[0] for name, words in instructions if name == "FROM"]

    for image in images:
        assert re.search(r":\d+\.\d+\.\d+", image), image


def test_label_studio_is_the_version_that_the_checkout_tests_with(compose) -> None:
    version = re.search(r"^LS_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]

    assert compose["services"]["label-studio"]["image"].endswith(f":{version}")


def test_copied_paths_exist_and_reach_the_build(instructions) -> None:
    allowed = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        source
        for name, words in instructions
        if name == "COPY" and "--from" not in words
        for source in words.split()[:-1]
    ]
    assert allowed == set(copied)
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_every_package_of_the_wheel_is_copied(instructions) -> None:
    copied = {words.split()[0] for name, words in instructions if name == "COPY"}
    pyproject = (ROOT / "pyproject.toml").read_text()

    rooms = set(re.findall(r'^  "(\w+)/remask\w*",$', pyproject, re.MULTILINE))

    assert rooms
    assert rooms <= copied


def test_the_image_runs_as_nobody_special(instructions) -> None:
    last_stage = max(i for i, (name, _) in enumerate(instructions) if name == "FROM")
    users = [words for name, words in instructions[last_stage:] if name == "USER"]

    assert users == ["remask"]


def test_the_image_runs_a_command_that_exists_and_says_when_it_is_healthy(instructions) -> None:
    last = dict(instructions)

    assert json.loads(last["ENTRYPOINT"]) == ["remask"]
    assert json.loads(last["CMD"])[0] == "serve"
    assert "/health" in last["HEALTHCHECK"]


def test_layers_leave_no_package_lists_behind(instructions) -> None:
    runs = [words for name, words in instructions if name == "RUN"]

    assert [
        run for run in runs if "apt-get" in run and "rm -rf /var/lib/apt/lists" not in run
    ] == []
    assert [run for run in runs if "sudo" in run] == []
