"""A cluster on one machine: Ray, Serve and the worker application as children of one process.

`python -m remask_worker.cluster.node` runs in the foreground; `start_node` starts it beside the
caller. Ray's own `ray start` leaves processes that belong to nobody, and its `ray stop` ends every
Ray process on the machine, whoever started it. Here they all hang on one process under a guard:
when it ends, also by a kill, everything ends (see `guard`).

The process holds a lock on `node.lock` in its state folder, so that a number in a file is never
taken for a process that has long gone.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from remask_core.errors import InputError, RemaskError, Unavailable, WrongState
from remask_core.extras import check_modules
from remask_storage.private_files import make_private_folder
from remask_worker.cluster.guard import end_with_parent, run_guarded
from remask_worker.cluster.settings import ReplicaSettings

__all__ = [
    "NodeSettings",
    "NodeState",
    "guarded_command",
    "run_node",
    "running_node",
    "start_node",
    "stop_node",
]

log = logging.getLogger(__name__)

_PROGRAM = "remask_worker.cluster.node"
_LOCK = "node.lock"
_STATE = "node.json"
_LOG = "node.log"
_LOOK_S = 0.1
# Ray starts in 10 s, and a large model may take minutes to load.
_START_S = 900.0
# Longer than a replica may take to answer what it has.
_STOP_S = 120.0
_OBJECT_STORE_BYTES = 100 << 20
APPLICATION = "remask"


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster on one machine.

    Attributes:
        replica: Of the worker application.
        state_dir: Folder of the lock, the state and the log.
        host: Address that Serve's proxy listens on.
        port: Its port.
    """

    replica: ReplicaSettings
    state_dir: str
    host: str = "127.0.0.1"
    port: int = 8000


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """A running cluster on this machine.

    Attributes:
        pid: The process on which everything hangs.
        address: What `remask serve --ray-address` takes.
        model: As the settings name it.
        ready: Whether the application answers.
        ray_address: What Ray's own programs take, such as `serve status` as `RAY_ADDRESS`; empty
            until it is ready.
    """

    pid: int
    address: str
    model: str
    ready: bool
    ray_address: str = ""


def run_node(settings: NodeSettings) -> None:
    """Run the cluster until SIGTERM or SIGINT.

    Raises:
        MissingExtra: Ray is not installed.
        WrongState: A cluster runs in this state folder already, or the port is taken.
        Unavailable: The application could not be started.
    """
    check_modules("ray", "a cluster")
    folder = Path(settings.state_dir)
    with _locked(folder):
        stop = _Stop()
        stop.listen()
        # A library's reports about its users are nobody's business here.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            _note(folder, settings, ready=False)
            with _ray(settings, stop) as ray_address:
                _deploy(settings)
                stop.at_once = False
                _note(folder, settings, ready=True, ray_address=ray_address)
                while not stop.wanted.wait(1.0):
                    pass
        except KeyboardInterrupt:
            log.info("stopped while it was starting")
        finally:
            (folder / _STATE).unlink(missing_ok=True)


class _Stop:
    """The wish of SIGTERM or SIGINT: at once while the cluster starts, in order afterwards."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.at_once = True

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._note())

    def _note(self) -> None:
        self.wanted.set()
        if self.at_once:
            raise KeyboardInterrupt


@contextmanager
def _ray(settings: NodeSettings, stop: _Stop) -> Iterator[str]:
    import ray
    from ray import serve

    replica = settings.replica
    most = replica.max_replicas or replica.replicas
    # Twice the replicas: a change of the model starts the new ones beside the old.
    cpus = max(os.cpu_count() or 1, math.ceil(2 * most * replica.cpus))
    ray.init(
        address="local",
        include_dashboard=False,
        num_cpus=cpus,
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    stop.listen()  # Ray listens itself otherwise
    try:
        serve.start(
            proxy_location="HeadOnly", http_options={"host": settings.host, "port": settings.port}
        )
        yield ray.get_runtime_context().gcs_address
        serve.shutdown()  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def _deploy(settings: NodeSettings) -> None:
    from ray import serve

    from remask_worker.cluster.deployment import application

    try:
        serve.run(application(settings.replica), name=APPLICATION)
    except RuntimeError as error:  # Serve has no class of its own for it
        found = serve.status().applications[APPLICATION].deployments.values()
        # A replica's own error stands in the last line of its traceback.
        reasons = [line for d in found for line in d.message.splitlines() if "Error: " in line]
        reason = reasons[-1].strip() if reasons else str(error)
        raise Unavailable(f"the application could not be started: {reason}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    make_private_folder(folder)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongState(f"a cluster runs already, says {folder / _LOCK}") from None
        yield


def _note(folder: Path, settings: NodeSettings, *, ready: bool, ray_address: str = "") -> None:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    state = NodeState(
        pid=os.getpid(),
        address=f"http://{host}:{settings.port}",
        model=settings.replica.model,
        ready=ready,
        ray_address=ray_address,
    )
    part = folder / f"{_STATE}.part"
    part.write_bytes(msgspec.json.encode(state))
    part.replace(folder / _STATE)


def running_node(folder: Path) -> NodeState | None:
    """Return the cluster that runs with this state folder; None if none does."""
    try:
        with (folder / _LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode((folder / _STATE).read_bytes(), type=NodeState)
    except (OSError, msgspec.MsgspecError):  # none ever ran here, or it is beginning or ending
        return None
    return None


def guarded_command(settings: NodeSettings) -> list[str]:
    """Return the command that runs the cluster in the foreground, under a guard."""
    return [sys.executable, "-m", _PROGRAM, msgspec.json.encode(settings).decode()]


def start_node(settings: NodeSettings, *, env: Mapping[str, str] | None = None) -> NodeState:
    """Start a cluster beside this process, and return it once it answers.

    Args:
        settings: What to start.
        env: Added to the environment of all its processes.

    Raises:
        WrongState: One runs already.
        Unavailable: It could not be started; the message has the end of its log.
    """
    folder = Path(settings.state_dir)
    make_private_folder(folder)
    if (running := running_node(folder)) is not None:
        raise WrongState(f"a cluster runs already: process {running.pid}, {running.address}")
    with (folder / _LOG).open("wb") as log_file:
        process = subprocess.Popen(
            guarded_command(settings),
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    until = time.monotonic() + _START_S
    try:
        while time.monotonic() < until:
            state = running_node(folder)
            if state is not None and state.ready:
                return state
            if process.poll() is not None:
                end = (folder / _LOG).read_text(errors="replace").strip().splitlines()[-1:]
                raise Unavailable(f"the cluster could not be started: {' '.join(end)}")
            time.sleep(_LOOK_S)
    except BaseException:
        process.terminate()
        raise
    process.terminate()
    raise Unavailable(f"the cluster did not answer within {_START_S:g} s; see {folder / _LOG}")


def stop_node(folder: Path) -> NodeState | None:
    """End the cluster of this state folder after what it has under way; return what it was.

    None if none runs. One that does not end within two minutes is killed.
    """
    state = running_node(folder)
    if state is None:
        return None
    os.kill(state.pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_S
    while _holds_lock(folder):
        if time.monotonic() > until:
            os.kill(state.pid, signal.SIGKILL)
            until = math.inf
        time.sleep(_LOOK_S)
    return state


def _holds_lock(folder: Path) -> bool:
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def main() -> int:
    """Run the cluster that the first argument describes, as JSON of `NodeSettings`.

    Without a second argument this process is the guard of one that does.
    """
    if len(sys.argv) == 2:
        return run_guarded([sys.executable, "-m", _PROGRAM, sys.argv[1], "-"])
    end_with_parent()
    logging.basicConfig(format="remask cluster: %(levelname)s %(name)s: %(message)s")
    try:
        run_node(msgspec.json.decode(sys.argv[1], type=NodeSettings))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except RemaskError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
