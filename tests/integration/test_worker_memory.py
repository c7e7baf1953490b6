"""What the worker with the bundled model holds, and what it leaves unloaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from remask_core.history import Step
from remask_core.types import Click
from remask_models.device import has_cuda_driver
from remask_worker.calls import Call
from remask_worker.child_engine import ChildEngine
from remask_worker.settings import WorkerSettings

WAIT_S = 60
MOST_MEMORY = 700_000_000
SHAPE_HW = (480, 640)


def photograph(path: Path, *, seed: int) -> Path:
    """A file of coarse noise: it has colours and edges, which is all that memory depends on."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = cv2.resize(coarse, SHAPE_HW[::-1], interpolation=cv2.INTER_LINEAR)
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "auto", marks=pytest.mark.skipif(has_cuda_driver(), reason="a GPU would be used")
        ),
    ],
)
def test_ten_images_and_forty_clicks_stay_below_700_mb_without_torch(
    device: str, tmp_path: Path
) -> None:
    engine = ChildEngine(WorkerSettings(model="convnet", device=device))
    try:
        for seed in range(10):
            path = photograph(tmp_path / f"{seed}.png", seed=seed)
            clicks = [Click(100 + 90 * n, 240, n % 2 == 0) for n in range(4)]
            for count in range(1, 5):
                steps = tuple(Step(clicks=(click,)) for click in clicks[:count])
                call = Call(image_id=f"{seed}", image_path=str(path), steps=steps)
                engine.submit(call).result(WAIT_S)
        child = psutil.Process(engine.health().pid)

        libraries = {Path(mapped.path).name for mapped in child.memory_maps()}
        assert child.memory_info().rss < MOST_MEMORY
        assert not any(name.startswith("libtorch") for name in libraries)
    finally:
        engine.close(grace_s=0.0)


@pytest.mark.parametrize(("wanted", "threads"), [("3", 3), ("2,1", 2)])
def test_the_model_takes_as_many_threads_as_omp_num_threads_says(wanted: str, threads: int) -> None:
    script = (
        "import cv2, os, onnxruntime; from remask_models.registry import load; "
        "before = len(os.listdir('/proc/self/task')); model = load('convnet'); "
        "print(1 + len(os.listdir('/proc/self/task')) - before)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": wanted},
        capture_output=True,
        text=True,
        check=True,
    )

    assert threads == int(done.stdout)
