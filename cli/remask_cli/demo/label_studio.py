"""A Label Studio on the loopback: starting it, logging in, making an access token."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from remask_cli.demo.programs import HOST, Program, start_program
from remask_core.errors import InputError, NotFound, Unavailable

__all__ = [
    "Account",
    "create_access_token",
    "find_label_studio",
    "log_in",
    "start_label_studio",
]

# The first start makes the database: half a minute on two cores, more on a busy machine.
START_TIMEOUT_S = 300.0
# Label Studio answers a click only after the backend has, for which it waits 100 s.
REQUEST_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Account:
    """The person that Label Studio creates at its first start."""

    email: str
    password: str


def find_label_studio(given: Path | None) -> Path:
    """Return the `label-studio` program: the given one, `make setup`'s, or the one on the PATH.

    Raises:
        NotFound: There is none.
    """
    if given is not None:
        if not given.is_file():
            raise NotFound(f"`--label-studio` must be a program; {given} does not exist")
        return given.absolute()
    ours = Path(".venv-label-studio/bin/label-studio").absolute()
    if ours.is_file():
        return ours
    if on_path := shutil.which("label-studio"):
        return Path(on_path)
    raise NotFound(
        "Label Studio is not installed: run `make setup` in the checkout, or name the program "
        "with --label-studio"
    )


def start_label_studio(
    program: Path, *, port: int, data_dir: Path, files_root: Path, account: Account
) -> Program:
    """Return Label Studio once it answers.

    Args:
        program: The `label-studio` executable.
        port: Free, on the loopback.
        data_dir: For its SQLite database and uploads; filled at the first start.
        files_root: Folder under which projects may serve local files.
        account: Created at the first start; later starts keep the one that is there.

    Raises:
        Unavailable: It ended or did not answer in time; the message holds the end of its log.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [str(program), "start", "--no-browser", "--internal-host", HOST, "--port", str(port)]
    running = start_program(
        "Label Studio",
        command,
        environ=_environ(os.environ, port, data_dir, files_root, account),
        log=data_dir / "label-studio.log",
    )
    try:
        running.wait_until_it_answers(f"http://{HOST}:{port}/health", timeout_s=START_TIMEOUT_S)
    except BaseException:
        running.stop()
        raise
    return running


def _environ(
    inherited: Mapping[str, str], port: int, data_dir: Path, files_root: Path, account: Account
) -> dict[str, str]:
    """Return the environment: ours in place of any Label Studio settings of the user's own."""
    foreign = ("LABEL_STUDIO_", "HEARTEX_", "DJANGO_")
    kept = {key: value for key, value in inherited.items() if not key.startswith(foreign)}
    return kept | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data_dir),
        "LABEL_STUDIO_HOST": f"http://{HOST}:{port}",
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files_root),
        # Two guards keep it from addresses of the own machine, where our backend listens: one
        # for backends, one for webhooks, which a new backend gets at once. Both must be lifted.
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


@contextmanager
def log_in(url: str, account: Account) -> Iterator[httpx.Client]:
    """Give a client with the session of a person at a browser; closed at the end.

    Raises:
        InputError: Label Studio refuses e-mail and password.
        Unavailable: Label Studio does not answer.
    """
    with httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S, trust_env=False) as session:
        try:
            session.get("/user/login/").raise_for_status()
            form = {
                "email": account.email,
                "password": account.password,
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            }
            answer = session.post("/user/login/", data=form, headers={"Referer": url})
        except httpx.HTTPError as error:
            raise Unavailable(f"Label Studio at {url} did not let us log in: {error}") from error
        # The page comes again, with a complaint, when they do not fit.
        if not answer.has_redirect_location:
            raise InputError(
                f"`account` must be one of Label Studio's; it refused {account.email}. "
                "If you changed the password, remove the demo's folder"
            )
        # A login gives a new CSRF token, which every POST must repeat.
        session.headers.update({"X-CSRFToken": session.cookies["csrftoken"], "Referer": url})
        yield session


def create_access_token(session: httpx.Client) -> str:
    """Return a new personal access token of the person that is logged in.

    Label Studio allows each person one, and shows it in full only once: an earlier one is revoked.
    """
    try:
        for earlier in session.get("/api/token/").raise_for_status().json():
            session.post("/api/token/blacklist/", json={"refresh": earlier["token"]})
        return str(session.post("/api/token/").raise_for_status().json()["token"])
    except httpx.HTTPError as error:
        raise Unavailable(f"Label Studio gave no access token: {error}") from error
