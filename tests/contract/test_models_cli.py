from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError
from remask_models import registry

run = CliRunner().invoke


def test_list_knows_every_model(tmp_path: Path) -> None:
    done = run(app, ["models", "list", "--json", "--model-dir", str(tmp_path)])

    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(registry.names()) == set(rows)
    assert rows["sam_vit_b"]["state"] == "missing"
    assert str(tmp_path / "sam_vit_b_01ec64.pth") == rows["sam_vit_b"]["path"]


def test_list_takes_the_folder_from_the_environment(tmp_path: Path) -> None:
    done = run(app, ["models", "list", "--json"], env={"MODEL_DIR": str(tmp_path)})

    assert str(tmp_path) in done.stdout


def test_list_for_people_names_size_and_licence(tmp_path: Path) -> None:
    done = run(app, ["models", "list", "--model-dir", str(tmp_path)])

    assert done.exit_code == 0
    for word in ("sam_vit_h", "2,565 MB", "missing", "Apache-2.0"):
        assert word in done.stdout
    assert "a company that needs cleared terms" in " ".join(done.stdout.split())


def test_verify_tells_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")

    done = run(app, ["models", "verify", "--json", str(path)])

    assert json.loads(done.stdout)["model"] is None


def test_verify_of_a_model_refuses_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(b"mine")

    done = run(app, ["models", "verify", "--model", "sam_vit_b", str(path)])

    assert isinstance(done.exception, InputError)


@pytest.mark.parametrize("verb", ["list", "pull", "verify"])
def test_help_has_an_example(verb: str) -> None:
    assert f"remask models {verb}" in run(app, ["models", verb, "--help"]).stdout
