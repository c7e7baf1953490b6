"""One run of the demo: starts both programs, prepares the project, stops everything at the end."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from remask_cli.demo.backend import default_model, start_backend
from remask_cli.demo.campaign import YOURS, Results, run_main_job
from remask_cli.demo.check import check_project
from remask_cli.demo.environment import shown_path, write_environment
from remask_cli.demo.label_studio import (
    Account,
    create_access_token,
    find_label_studio,
    log_in,
    start_label_studio,
)
from remask_cli.demo.photos import FILES_ROOT
from remask_cli.demo.programs import HOST, Program, reserved_port
from remask_cli.demo.project import DemoProject, open_project
from remask_cli.lock import lock
from remask_core.errors import Unavailable
from remask_label_studio.api import BackendAddress
from remask_label_studio.client import connect

__all__ = ["ACCOUNT", "DemoOptions", "run_demo"]

# Nothing but this machine reaches the demo, and people must be able to type it.
ACCOUNT = Account(email="demo@example.com", password="remask-demo")
WATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line may choose; None where the demo chooses itself."""

    folder: Path
    model: str | None = None
    port: int | None = None
    label_studio_port: int | None = None
    label_studio: Path | None = None


def run_demo(options: DemoOptions, *, check: bool) -> None:
    """Run the demo until Ctrl+C or, with `check`, until all of it has been done.

    Raises:
        RemaskError: Something did not start or, with `check`, an answer was missing or wrong.
    """
    console = Console(highlight=False)
    try:
        # Two programs must not share its databases.
        alone = lock(
            options.folder / "lock",
            otherwise=f"the demo already runs in {options.folder}; stop it, or choose another "
            "folder with --dir",
        )
        with _stopped_by_sigterm(), alone, ExitStack() as programs:
            running = _start(options, console, programs, check=check)
            while not check:
                _check_alive(running)
                time.sleep(WATCH_S)
    except KeyboardInterrupt:
        if check:
            raise Unavailable("the check was interrupted") from None
        console.print("\nStopped. The next start goes on where you left off.")


def _start(
    options: DemoOptions, console: Console, programs: ExitStack, *, check: bool
) -> list[Program]:
    """Return Label Studio and the backend, ready to be worked with; `programs` stops them."""
    port = programs.enter_context(reserved_port(options.port, preferred=9090, option="--port"))
    url_port = programs.enter_context(
        reserved_port(options.label_studio_port, preferred=8080, option="--label-studio-port")
    )
    url = f"http://{HOST}:{url_port}"
    label_studio = programs.enter_context(_start_label_studio(options, url_port, console))
    console.print(f"[green]✓[/] Label Studio at {url}")
    session = programs.enter_context(log_in(url, ACCOUNT))
    api_key = create_access_token(session)

    backend = BackendAddress(
        url=f"http://{HOST}:{port}", user="label-studio", password=secrets.token_urlsafe(16)
    )
    model = options.model or default_model()
    with console.status(f"Starting the backend with the model {model}"):
        serving = programs.enter_context(
            start_backend(
                backend,
                model=model,
                state_dir=options.folder / "backend",
                label_studio_url=url,
                api_key=api_key,
            )
        )
    console.print(f"[green]✓[/] Backend at {backend.url} with the model {model}")

    connection = programs.enter_context(connect(url, api_key))
    # Port and password are others at each start; the campaigns' webhooks must follow.
    connection.move_webhooks(backend)
    environment = write_environment(
        options.folder / "env",
        state_dir=options.folder / "backend",
        label_studio_url=url,
        api_key=api_key,
        backend=backend,
    )
    with console.status("Looking for the project") as status:
        project = open_project(
            connection,
            backend,
            progress=lambda done, total: status.update(f"Masks for {done} of {total} photos"),
        )
    state = "as you left it" if project.existed else "with a mask for each box"
    console.print(f"[green]✓[/] {len(project.tasks)} photos, {state}")
    if check:
        checked = check_project(session, project)
        console.print(
            f"[green]✓[/] A box got a mask of {checked.box_area_px} pixels; "
            f"a click changed {checked.changed_px} of them"
        )
    results = run_main_job(
        options.folder / "results",
        state=options.folder / "backend",
        label_studio_url=url,
        api_key=api_key,
        backend=backend,
        model=model,
        console=console,
    )
    console.print(f"[green]✓[/] The campaign's report is {results.folder / 'report.html'}")
    if not check:
        console.print(_welcome(url, project, results, environment))
    return [label_studio, serving]


def _start_label_studio(options: DemoOptions, port: int, console: Console) -> Program:
    executable = find_label_studio(options.label_studio)
    data_dir = options.folder / "label-studio"
    note = "" if data_dir.exists() else ": the first time it makes its database, about a minute"
    with console.status(f"Starting Label Studio{note}"):
        return start_label_studio(
            executable, port=port, data_dir=data_dir, files_root=FILES_ROOT, account=ACCOUNT
        )


def _welcome(url: str, project: DemoProject, results: Results, environment: Path) -> str:
    return f"""
Log in with user [bold]{ACCOUNT.email}[/] and password [bold]{ACCOUNT.password}[/]

[bold]A campaign[/]: three rounds of clicks by simulated annotators, through Label Studio.
  the report                   {results.folder / "report.html"}
  exports and the click log    {results.folder}
  the masks                    {url}/projects/{results.masks_project}/data

[bold]Your turn[/]: {url}/projects/{results.round_project}/data?labeling=1
The same photos in a first round. Click where the mask is wrong, key 1 for what is missing, key 2
for what is too much, and submit; submit at once what is good. To go on as its manager, in another
terminal:
  source {shown_path(environment)}
  .venv/bin/remask campaign status {YOURS}
  .venv/bin/remask campaign advance {YOURS} --force

[bold]Live[/]: {url}/projects/{project.project_id}/data?labeling=1
Each photo comes with a mask for its boxes, and each click is answered at once. At the bottom
switch on [bold]Auto-Annotation[/] and [bold]Auto-Accept Suggestions[/]. What to try:
  R, a box around an object    a mask inside it
  K, a click, on a mask or off the clicked part belongs to the object
  Alt+click                    it does not
  Ctrl+Z                       takes the last click back
  Submit                       keeps masks, boxes and clicks
Ctrl+C here stops everything; your work is kept.
"""


def _check_alive(running: Sequence[Program]) -> None:
    for program in running:
        if program.process.poll() is not None:
            raise program.ended()


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end the demo as Ctrl+C does, so that nothing stays behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
