"""The backend as a program beside Label Studio."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from remask_cli.demo.programs import Program, start_program
from remask_core.errors import NotFound, Unavailable
from remask_label_studio.api import BackendAddress
from remask_models import registry

__all__ = ["check_who_answers", "default_model", "start_backend"]

START_TIMEOUT_S = 60.0
PREFERRED_MODEL = "convnet"
FALLBACK_MODEL = "grabcut"


def default_model() -> str:
    """Return the bundled network if this installation has its weights, else GrabCut."""
    try:
        registry.version(PREFERRED_MODEL)
    except NotFound:
        return FALLBACK_MODEL
    return PREFERRED_MODEL


def start_backend(
    address: BackendAddress,
    *,
    model: str,
    state_dir: Path,
    label_studio_url: str,
    api_key: str,
    environ: Mapping[str, str] = os.environ,
) -> Program:
    """Return `remask serve` once it answers; its model may still be loading.

    Args:
        address: Where it shall listen, and what callers must present.
        model: As for `remask serve --model`.
        state_dir: For the click log, the image cache and the program's own log.
        label_studio_url: Where it fetches images.
        api_key: Label Studio's.
        environ: What it inherits.

    Raises:
        Unavailable: It ended or did not answer in time; the message holds the end of its log.
    """
    place = urlsplit(address.url)
    command = [sys.executable, "-m", "remask_cli", "serve", "--model", model]
    command += ["--host", str(place.hostname), "--port", str(place.port)]
    settings = {
        "LABEL_STUDIO_URL": label_studio_url,
        "LABEL_STUDIO_API_KEY": api_key,
        "REMASK_STATE_DIR": str(state_dir),
    }
    if address.user is not None:
        settings |= {"BASIC_AUTH_USER": address.user, "BASIC_AUTH_PASS": address.password or ""}
    program = start_program(
        "The backend", command, environ={**environ, **settings}, log=state_dir / "backend.log"
    )
    try:
        program.wait_until_it_answers(f"{address.url}/health", timeout_s=START_TIMEOUT_S)
        check_who_answers(address)
    except BaseException:
        program.stop()
        raise
    return program


def check_who_answers(address: BackendAddress) -> None:
    """Refuse a program that took the port in between: it does not know our password.

    Raises:
        Unavailable: Somebody else answers.
    """
    auth = None if address.user is None else (address.user, address.password or "")
    answer = httpx.get(f"{address.url}/versions", auth=auth, timeout=10, trust_env=False)
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(
            f"another program answers at {address.url}; choose another port with --port"
        )
