"""This machine: Python, extras, model, device and the state folder."""

from __future__ import annotations

import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

from remask_core.errors import Unavailable
from remask_core.extras import EXTRAS, has_module
from remask_models import registry
from remask_models.device import has_cuda_driver
from remask_service.doctor.findings import Finding, examined
from remask_service.settings import Settings
from remask_storage.database import Database
from remask_storage.private_files import make_private_folder
from remask_worker.cluster.connection import look_at
from remask_worker.cluster.engine import check_addresses

__all__ = ["examine_machine"]


def examine_machine(settings: Settings) -> list[Finding]:
    """Return what was found on this machine; nothing is loaded and nothing is changed."""
    return [
        _program(),
        _extras(),
        *(
            [_cluster(settings)]
            if settings.engine == "ray"
            else [_model(settings), _device(settings)]
        ),
        _state_folder(settings),
        _access(settings),
    ]


def _program() -> Finding:
    found = (
        f"remask {version('remask')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}"
    )
    return Finding("program", "ok", found)


def _extras() -> Finding:
    there = [extra for extra, modules in EXTRAS.items() if all(map(has_module, modules))]
    return Finding("extras", "ok", ", ".join(there) or "none: the bundled model needs none")


def _model(settings: Settings) -> Finding:
    def look() -> Finding:
        found = registry.check(
            settings.model,
            weights=settings.weights,
            device=settings.device,
            model_dir=settings.model_dir,
        )
        return Finding("model", "ok", found or f"{settings.model}, a factory of your own")

    cure = f"install what is missing, or `remask models pull {settings.model}`"
    return examined("model", look, cure=cure)


def _cluster(settings: Settings) -> Finding:
    """The cluster whose replicas have the model, at each of its addresses."""
    assert settings.ray_address is not None
    found = []
    for address in check_addresses(settings.ray_address):
        try:
            health = look_at(address)
        except Unavailable as error:
            return Finding(
                "cluster",
                "failed",
                str(error),
                "start it with `remask cluster up` or `serve deploy`, or correct "
                "REMASK_RAY_ADDRESS (docs/cluster.md)",
            )
        found.append(f"{address} has {health.model_version or 'no model yet'}")
    return Finding("cluster", "ok", "; ".join(found))


def _device(settings: Settings) -> Finding:
    driver = has_cuda_driver()
    if settings.device == "cpu":
        cure = "set DEVICE=auto to use it; torch must be installed" if driver else ""
        found = "CPU, although there is an NVIDIA driver" if driver else "CPU"
        return Finding("device", "warning" if driver else "ok", found, cure)
    if settings.device == "auto":
        if driver and has_module("torch"):
            return Finding("device", "ok", "auto: an NVIDIA driver and torch are there")
        if driver:
            return Finding(
                "device",
                "warning",
                "auto: there is an NVIDIA driver but no torch, so the CPU is used",
                "pip install 'remask[train]' to use the GPU",
            )
        return Finding("device", "ok", "auto: no NVIDIA driver, so the CPU is used")
    if not driver:
        return Finding(
            "device",
            "failed",
            f"{settings.device} was asked for, but there is no NVIDIA driver here",
            "set DEVICE=auto or cpu, or install the driver",
        )
    return Finding("device", "ok", f"{settings.device}, with an NVIDIA driver")


def _state_folder(settings: Settings) -> Finding:
    def look() -> Finding:
        try:
            make_private_folder(settings.state_dir)
            with tempfile.TemporaryFile(dir=settings.state_dir):
                pass
        except OSError as error:
            return Finding(
                "state folder",
                "failed",
                f"{settings.state_dir} cannot be written: {error.strerror}",
                "set REMASK_STATE_DIR to a folder of the user who runs remask",
            )
        if settings.state_url is None and not Path(settings.state_place).exists():
            return Finding("state folder", "ok", f"{settings.state_dir}, nothing in it yet")
        Database.open(settings.state_place).close()
        return Finding("state folder", "ok", settings.shown_state_place)

    return examined("state folder", look, cure="see docs/faults.md")


def _access(settings: Settings) -> Finding:
    """Who may call the backend."""
    if settings.basic_auth_user is not None:
        return Finding("access", "ok", f"basic authentication as {settings.basic_auth_user}")
    if settings.host in ("127.0.0.1", "::1", "localhost"):
        return Finding("access", "ok", "open to programs on this machine alone")
    return Finding(
        "access",
        "warning",
        f"whoever reaches {settings.host}:{settings.port} may call the backend",
        "set BASIC_AUTH_USER and BASIC_AUTH_PASS",
    )
