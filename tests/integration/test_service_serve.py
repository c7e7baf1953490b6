"""The real `remask serve`: gunicorn, worker process, click log, under load and under attack."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from fakes import toy_mask
from serving import (
    IMAGES,
    TESTS,
    WAIT_S,
    box,
    click,
    make_images,
    masks_of,
    pixels,
    request,
    serving,
    task,
    wait_until,
)

from remask_core.types import Box, Click, Prompt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_images(tmp_path)


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


def test_a_frozen_worker_is_not_ready_and_clicks_are_answered_by_its_successor(
    folder: Path,
) -> None:
    with serving(folder) as server:
        server.client.post("/predict", json=request([task(1, 0)], [click("one", 80, 60)]))
        server.worker().send_signal(signal.SIGSTOP)
        wait_until(lambda: not server.client.get("/health").json()["ready"])
        refused = server.client.get("/ready")
        answer = server.client.post("/predict", json=request([task(2, 1)], [click("two", 80, 60)]))
        [mask] = masks_of(answer.json()["results"][0])

        assert refused.status_code == 503
        assert "unresponsive" in refused.text
        assert np.array_equal(mask, toy_mask(pixels(1), Prompt(clicks=(Click(80, 60, True),))))
        assert server.client.get("/health").json()["ready"]


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
