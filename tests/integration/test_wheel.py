"""The wheel alone, in a clean environment: light, complete, and able to answer."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from ports import free_port

from remask_core.rle_ls import decode_ls_rle

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 120, 160
WAIT_S = 90.0
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True)
    (path,) = folder.glob("remask-*.whl")
    return path


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-compile"]
    subprocess.run([*pip, str(wheel), "-c", str(ROOT / "constraints.txt")], check=True)
    return folder / "bin"


def environment() -> dict[str, str]:
    """What a program of the clean environment sees: nothing of this checkout."""
    hidden = ("PYTHONPATH", "REMASK_", "LABEL_STUDIO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def remask(clean: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(clean / "remask"), *words], capture_output=True, text=True, env=environment()
    )


@pytest.fixture(scope="module")
def served(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [str(clean / "remask"), "serve", "--port", str(port), "--state-dir", str(folder)],
            env=environment(),
            stdout=log,
            stderr=log,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            until = time.monotonic() + WAIT_S
            while not is_ready(client):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
            yield client
        finally:
            process.terminate()
            process.wait(30)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def predict(
    client: httpx.Client, label_config: str, prompts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the regions that prompts on a red square in a grey image are answered with."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[40:80, 50:110] = (220, 30, 30)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    body = {
        "tasks": [{"id": 1, "data": {"image": address}}],
        "project": "1.1",
        "label_config": label_config,
        "params": {"context": {"result": prompts}},
    }
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    regions: list[dict[str, Any]] = answer.json()["results"][0]["result"]
    return regions


def prompt(label_config: str, kind: str, **value: Any) -> dict[str, Any]:
    """A region as the editor makes it with the tool of that kind in the configuration."""
    from remask_label_config import parse_labelling_config

    controls = parse_labelling_config(label_config).images[0]
    control = controls.rectangles if kind == "box" else controls.keypoints
    assert control is not None
    return {
        "id": f"prompt-{kind}",
        "from_name": control.name,
        "to_name": controls.image.name,
        "type": control.type,
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "value": {**value, control.type: ["thing"]},
    }


def iou_with_the_square(regions: list[dict[str, Any]]) -> float:
    (mask_region,) = [region for region in regions if "rle" in region["value"]]
    mask = decode_ls_rle(mask_region["value"]["rle"], shape_hw=(HEIGHT, WIDTH))
    truth = np.zeros((HEIGHT, WIDTH), np.bool_)
    truth[40:80, 50:110] = True
    return float((mask & truth).sum() / (mask | truth).sum())


def test_the_base_install_has_no_torch(clean: Path) -> None:
    listed = subprocess.run(
        [str(clean / "python"), "-m", "pip", "list", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    names = {package["name"].lower() for package in json.loads(listed.stdout)}

    assert "remask" in names
    assert names.isdisjoint({"torch", "torchvision", "segment-anything", "triton"})


def test_the_base_install_is_light(clean: Path) -> None:
    files = [file for file in clean.parent.rglob("*") if file.is_file() and not file.is_symlink()]
    ours = [file for file in files if "/remask" in str(file.relative_to(clean.parent))]

    assert sum(file.stat().st_size for file in files) < 700e6
    assert sum(file.stat().st_size for file in ours) < 60e6


def test_a_box_and_a_click_get_their_mask(clean: Path, served: httpx.Client) -> None:
    config = remask(clean, "config", "write", "--class", "thing").stdout
    box = prompt(config, "box", x=31.0, y=33.0, width=38.0, height=34.0)
    click = prompt(config, "click", x=50.0, y=50.0, width=0.6) | {"is_positive": True}

    assert iou_with_the_square(predict(served, config, [box])) > 0.8
    assert iou_with_the_square(predict(served, config, [click])) > 0.5


def test_a_command_without_its_extra_says_what_to_install(clean: Path) -> None:
    sam = remask(clean, "serve", "--model", "sam_vit_b")
    train = remask(clean, "train", "convnet", "--data", ".", "--out", "out")

    for ended, extra in ((sam, "sam"), (train, "train")):
        assert ended.returncode == 2
        assert f"pip install 'remask[{extra}]'" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_what_the_demo_needs_is_in_the_wheel(clean: Path) -> None:
    script = (
        "from remask_cli.demo.photos import FILES_ROOT\n"
        "print(len(list((FILES_ROOT / 'photos').glob('*.jpg'))))"
    )
    counted = subprocess.run(
        [str(clean / "python"), "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )

    assert int(counted.stdout) == len(list((ROOT / "cli/remask_cli/demo/photos").glob("*.jpg")))


def test_the_version_is_printed(clean: Path, wheel: Path) -> None:
    assert remask(clean, "--version").stdout.split() == ["remask", wheel.name.split("-")[1]]
