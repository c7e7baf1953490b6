"""A real Ray with two replicas of the toy model, one for the whole run of the tests."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psutil
from fakes import ToySegmenter
from ports import free_port

from remask_worker.cluster.messages import Reply, decode
from remask_worker.cluster.node import NodeSettings, NodeState, running_node
from remask_worker.cluster.settings import ReplicaSettings

TESTS = Path(__file__).parent
START_S = 240
# A click at exactly this x ends the toy's process.
KILL_X = 13.5
_PR_SET_PDEATHSIG = 1


class SlowToy(ToySegmenter):
    """A toy that takes its time for each prompt, so that calls pile up."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.predict_s = 0.02
        self.version = version


def load_old_toy() -> SlowToy:
    """For `model: ray_cluster:load_old_toy`."""
    return SlowToy("toy@old")


def load_new_toy() -> SlowToy:
    """For `model: ray_cluster:load_new_toy`."""
    return SlowToy("toy@new")


@dataclass
class Cluster:
    """A running cluster, its processes, and what deploys further applications on it."""

    process: subprocess.Popen[bytes]
    state: NodeState
    folder: Path
    env: dict[str, str]

    @property
    def address(self) -> str:
        return self.state.address

    def processes(self, title: str) -> list[psutil.Process]:
        """Return the cluster's living processes with such a title, the oldest first."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if title in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return sorted(found, key=lambda process: process.create_time())

    def replicas(self, application: str = "remask") -> list[psutil.Process]:
        """Return the processes of an application's replicas."""
        return self.processes(f"ServeReplica:{application}:")

    def settle(self, application: str = "remask", path: str = "", *, replicas: int = 2) -> None:
        """Wait until so many replicas answer, and none of them is on its way in or out."""
        pause = threading.Event()
        for _ in range(START_S * 5):
            if len(self.replicas(application)) == replicas:
                answering = {self._some_replica(path) for _ in range(8 * replicas)}
                if len(answering) == replicas and None not in answering:
                    return
            pause.wait(0.2)
        raise AssertionError(f"there were never {replicas} replicas that answered")

    def _some_replica(self, path: str) -> str | None:
        """Return the id of some replica that answers; None if none does."""
        try:
            response = httpx.post(f"{self.address}{path}/", timeout=10.0)
        except httpx.HTTPError:
            return None
        return decode(response.content, Reply).replica if response.is_success else None

    def run(self, code: str, *args: str) -> str:
        """Run Python code that is connected to this Ray, and return what it prints."""
        before = f"import ray, sys; ray.init({self.state.ray_address!r}, log_to_driver=False)\n"
        done = subprocess.run(
            [sys.executable, "-c", before + code, *args],
            # Ray made the token when it started.
            env={**self.env, "RAY_AUTH_MODE": "token"},
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


def _die_with_parent() -> None:
    """Let the operating system end this process with the tests, however they end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running_cluster(
    folder: Path, *, toy: Mapping[str, str] | None = None, **replica: object
) -> Iterator[Cluster]:
    """Give a cluster on this machine; nothing of it is left afterwards."""
    settings = NodeSettings(
        replica=msgspec.convert(
            {"model": "fakes:load_toy", "scratch_dir": str(folder / "images"), **replica},
            ReplicaSettings,
        ),
        state_dir=str(folder / "state"),
        port=free_port(),
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])),
        "RAY_USAGE_STATS_ENABLED": "0",
        # How often proxies tell the autoscaler of their load; the default is 10 s.
        "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "0.5",
        "TOY_KILL_X": str(KILL_X),
        **(toy or {}),
    }
    log = folder / "cluster.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "remask_worker.cluster.node", msgspec.json.encode(settings)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - it calls the kernel, nothing else
        )
    try:
        state = _until_ready(process, Path(settings.state_dir), log)
        yield Cluster(process, state, folder, env)
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if _alive(process) else []
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _, alive = psutil.wait_procs(children, timeout=10)
        for child in alive:
            child.kill()


def _alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _until_ready(process: subprocess.Popen[bytes], state_dir: Path, log: Path) -> NodeState:
    pause = threading.Event()
    for _ in range(START_S * 10):
        state = running_node(state_dir)
        if state is not None and state.ready:
            return state
        assert _alive(process), log.read_text()[-3000:]
        pause.wait(0.1)
    raise AssertionError(f"no cluster after {START_S} s: {log.read_text()[-3000:]}")
