"""The real Label Studio, started for tests: one for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ports import free_port

from remask_cli.demo.label_studio import (
    Account,
    create_access_token,
    find_label_studio,
    log_in,
    start_label_studio,
)
from remask_cli.demo.programs import HOST
from remask_core.errors import NotFound
from remask_label_studio.client import Connection, connect

ACCOUNT = Account(email="annotator@example.com", password="a-long-password")


@dataclass(frozen=True, slots=True)
class Studio:
    """A Label Studio that is running, and the folder whose files it serves."""

    url: str
    files_root: Path
    connection: Connection
    api_key: str


@contextmanager
def running_studio(folder: Path) -> Iterator[Studio]:
    """Label Studio with its data below `folder`; skips the test where it is not installed."""
    try:
        program = find_label_studio(None)
    except NotFound as error:
        pytest.skip(str(error))
    files_root = folder / "files"
    (files_root / "images").mkdir(parents=True)
    port = free_port()
    url = f"http://{HOST}:{port}"
    with start_label_studio(
        program, port=port, data_dir=folder / "data", files_root=files_root, account=ACCOUNT
    ):
        with log_in(url, ACCOUNT) as session:
            api_key = create_access_token(session)
        with connect(url, api_key) as connection:
            yield Studio(url, files_root, connection, api_key)
