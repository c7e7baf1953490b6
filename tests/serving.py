"""A real `remask serve` with the toy model, and what Label Studio would send to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image
from ports import free_port

from remask_core.rle_ls import decode_ls_rle
from remask_core.types import RgbImage

TESTS = Path(__file__).parent
WIDTH, HEIGHT = 160, 120
IMAGES = 8
WAIT_S = 60.0
CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>'
    '<KeyPointLabels name="kp" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>'
    '<RectangleLabels name="rect" toName="image" smart="true"><Label value="Cat"/>'
    "</RectangleLabels></View>"
)


class Server:
    """A running `remask serve` and a client for it."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.Client, state: Path) -> None:
        self.process = process
        self.client = client
        self.state = state

    def worker(self) -> psutil.Process:
        """Return the worker process of this moment."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if "remask_worker" in child.cmdline():
                return child
        raise AssertionError("there is no worker")

    def metric(self, name: str) -> float:
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise AssertionError(f"there is no metric {name}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal as an orchestrator does, or to the whole group as a terminal does."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(WAIT_S)


def wait_until(true: Callable[[], bool]) -> None:
    """Poll what gives no signal: another process's state."""
    until = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.05)


@contextmanager
def serving(folder: Path, *, port: int | None = None, **toy: str) -> Iterator[Server]:
    root, state = folder / "served", folder / "state"
    port = port or free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMASK_")},
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        "REMASK_LOCAL_FILES_ROOT": str(root),
        "OMP_NUM_THREADS": "1",
        **toy,
    }
    command = [
        *(sys.executable, "-c", "from remask_cli.main import main; main()", "serve"),
        *("--model", "fakes:load_toy", "--port", str(port), "--state-dir", str(state)),
    ]
    with (folder / f"log-{port}").open("a") as log:
        process = subprocess.Popen(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            start_new_session=True,
        )
    assert process.stdout is not None
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, verify=False) as client:

        def ready() -> bool:
            assert process.poll() is None, (folder / f"log-{port}").read_text()
            try:
                return client.get("/ready").status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_until(ready)
            yield Server(process, client, state)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(WAIT_S)
            process.stdout.close()


def make_images(folder: Path) -> Path:
    """Make images whose first pixel tells the toy model's answers on them apart."""
    (folder / "served").mkdir()
    for number in range(IMAGES):
        Image.fromarray(pixels(number)).save(folder / "served" / f"{number}.png")
    return folder


def pixels(number: int) -> RgbImage:
    image = np.full((HEIGHT, WIDTH, 3), 10 * number, dtype=np.uint8)
    image[0, 0, 0] = 3 * number
    return image


def region(region_id: str, kind: str, **value: Any) -> dict[str, Any]:
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, kind: ["Cat"], "labels": ["Cat"]},
        "id": region_id,
        "from_name": "kp" if kind == "keypointlabels" else "rect",
        "to_name": "image",
        "type": kind,
    }


def click(region_id: str, x: int, y: int) -> dict[str, Any]:
    percent = {"x": 100 * (x + 0.5) / WIDTH, "y": 100 * (y + 0.5) / HEIGHT, "width": 0.2}
    return {**region(region_id, "keypointlabels", **percent), "is_positive": True}


def box(region_id: str, x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return region(
        region_id,
        "rectanglelabels",
        x=100 * x / WIDTH,
        y=100 * y / HEIGHT,
        width=100 * width / WIDTH,
        height=100 * height / HEIGHT,
        rotation=0,
    )


def task(number: int, image: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "data": {"image": f"/data/local-files/?d={image}.png"}, **more}


def request(tasks: list[dict[str, Any]], prompts: list[dict[str, Any]] | None) -> dict[str, Any]:
    params = {} if prompts is None else {"context": {"result": prompts}}
    return {"tasks": tasks, "project": "2.17", "label_config": CONFIG, "params": params}


def masks_of(result: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    return [
        decode_ls_rle(found["value"]["rle"], shape_hw=(HEIGHT, WIDTH))
        for found in result["result"]
        if found["type"] == "brushlabels"
    ]
