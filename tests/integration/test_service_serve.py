"""The real `remask serve`: gunicorn, worker process, click log, under load and under attack."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from fakes import toy_mask
from PIL import Image
from ports import free_port

from remask_core.rle_ls import decode_ls_rle
from remask_core.types import Box, Click, Prompt, RgbImage

TESTS = Path(__file__).parents[1]
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
def serving(folder: Path, **toy: str) -> Iterator[Server]:
    root, state = folder / "served", folder / "state"
    port = free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("REMASK_")},
        "PYTHONPATH": str(TESTS),
        "REMASK_LOCAL_FILES_ROOT": str(root),
        "OMP_NUM_THREADS": "1",
        **toy,
    }
    command = [
        *(sys.executable, "-c", "from remask_cli.main import main; main()", "serve"),
        *("--model", "fakes:load_toy", "--port", str(port), "--state-dir", str(state)),
    ]
    with (folder / f"log-{port}").open("w") as log:
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images whose first pixel tells the toy model's answers on them apart."""
    (tmp_path / "served").mkdir()
    for number in range(IMAGES):
        Image.fromarray(pixels(number)).save(tmp_path / "served" / f"{number}.png")
    return tmp_path


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


def rows(state: Path, columns: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(state / "sessions.db")
    found = connection.execute(f"SELECT {columns} FROM prompts ORDER BY arrived_at").fetchall()
    connection.close()
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_answers_and_stops_with_its_worker(
    folder: Path, number: signal.Signals
) -> None:
    with serving(folder) as server:
        answer = server.client.post("/predict", json=request([task(1, 2)], [click("one", 80, 60)]))
        [mask] = masks_of(answer.json()["results"][0])
        worker = server.worker()
        code = server.stop(number)
        assert server.process.stdout is not None
        said = server.process.stdout.read()

        assert np.array_equal(mask, toy_mask(pixels(2), Prompt(clicks=(Click(80, 60, True),))))
        assert code == 0
        # Where nobody reaps orphans, a dead worker remains as a zombie.
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        assert str(server.state / "sessions.db") in said
        assert "http://localhost:" in said
        assert rows(server.state, "prompt_id, task, x, y, positive, outcome") == [
            ("one", 1, 80.0, 60.0, 1, "answered")
        ]


def test_a_click_is_on_disk_within_a_second_and_survives_a_kill(folder: Path) -> None:
    with serving(folder) as server:
        server.client.post("/predict", json=request([task(1, 0)], [click("one", 80, 60)]))
        wait_until(lambda: len(rows(server.state, "prompt_id")) == 1)
        whole = psutil.Process(server.process.pid).children(recursive=True)
        for process in [psutil.Process(server.process.pid), *whole]:
            process.kill()
        server.process.wait(WAIT_S)
    with serving(folder) as server:
        server.client.post("/predict", json=request([task(1, 0)], [click("two", 20, 60)]))
        server.stop()

        assert [row[0] for row in rows(server.state, "prompt_id")] == ["one", "two"]


def test_a_port_in_use_is_told_at_once(folder: Path) -> None:
    with serving(folder) as server:
        port = str(server.client.base_url.port)
        second = subprocess.run(
            [
                *(sys.executable, "-c", "from remask_cli.main import main; main()", "serve"),
                *("--model", "fakes:load_toy", "--port", port, "--state-dir", str(folder)),
            ],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert second.returncode == 1
    assert port in second.stderr
    assert "Traceback" not in second.stderr


def test_killing_the_worker_in_mid_request_costs_no_answer(folder: Path) -> None:
    """Every click is answered with its mask, health stays up, and later requests work."""
    with serving(folder, TOY_EMBED_S="0.6") as server, ThreadPoolExecutor(IMAGES) as pool:
        stop = threading.Event()
        health: list[tuple[int, str]] = []

        def watch() -> None:
            with httpx.Client(base_url=server.client.base_url, timeout=60, verify=False) as client:
                while not stop.wait(0.05):
                    answer = client.get("/health")
                    health.append((answer.status_code, answer.json()["status"]))

        watcher = threading.Thread(target=watch)
        watcher.start()
        first = server.worker()
        answers = [
            pool.submit(
                server.client.post,
                "/predict",
                json=request([task(n, n)], [click(f"c{n}", 80, 60)]),
            )
            for n in range(IMAGES)
        ]
        wait_until(lambda: server.metric("remask_images_embedded_total") >= 1)
        os.kill(first.pid, signal.SIGKILL)
        masks = [masks_of(answer.result().json()["results"][0]) for answer in answers]
        later = server.client.post("/predict", json=request([task(99, 0)], [click("z", 30, 30)]))
        restarts = server.metric("remask_worker_restarts_total")
        stop.set()
        watcher.join()

        truth = Prompt(clicks=(Click(80, 60, True),))
        for number, found in enumerate(masks):
            assert len(found) == 1
            assert np.array_equal(found[0], toy_mask(pixels(number), truth))
        assert len(masks_of(later.json()["results"][0])) == 1
        assert restarts == 1
        assert health
        assert set(health) == {(200, "UP")}


def test_sixteen_clients_on_eight_images_get_the_right_masks(folder: Path) -> None:
    """Clicks, boxes, opened tasks and batches mixed; each image is embedded once."""
    truth = {
        number: (
            toy_mask(pixels(number), Prompt(clicks=(Click(80, 60, True),))),
            toy_mask(pixels(number), Prompt(box=Box(20, 30, 60, 90))),
        )
        for number in range(IMAGES)
    }
    with serving(folder, TOY_EMBED_S="0.05", TOY_PREDICT_S="0.002") as server:

        def ask(client: httpx.Client, number: int) -> str:
            image = number % IMAGES
            kind = (number // IMAGES) % 4
            boxed = [{"id": 1, "result": [box(f"b{number}", 20, 30, 40, 60)]}]
            if kind == 0:
                sent, expected = request([task(number, image)], [click(f"c{number}", 80, 60)]), 0
            elif kind == 1:
                sent = request([task(number, image)], [box(f"d{number}", 20, 30, 40, 60)])
                expected = 1
            else:
                # One task that was opened, or three of a batch.
                tasks = [
                    task(1000 * number + n, (image + n) % IMAGES, predictions=boxed)
                    for n in range(1 if kind == 2 else 3)
                ]
                sent, expected = request(tasks, None), 1
            answer = client.post("/predict", json=sent)
            if answer.status_code == 503:
                assert "Retry-After" in answer.headers
                return "refused"
            assert answer.status_code == 200, answer.text
            for place, result in enumerate(answer.json()["results"]):
                if result == []:
                    assert kind == 3
                    continue
                [mask] = masks_of(result)
                assert np.array_equal(mask, truth[(image + place) % IMAGES][expected])
            return "answered"

        def work(client_number: int) -> list[str]:
            with httpx.Client(base_url=server.client.base_url, timeout=60, verify=False) as client:
                return [ask(client, 16 * n + client_number) for n in range(25)]

        with ThreadPoolExecutor(16) as pool:
            outcomes = [outcome for found in pool.map(work, range(16)) for outcome in found]

        assert len(outcomes) == 400
        assert outcomes.count("answered") > 300
        wait_until(lambda: server.metric("remask_images_embedded_total") >= IMAGES)
        assert server.metric("remask_images_embedded_total") == IMAGES
        assert server.metric("remask_click_log_lost_total") == 0
