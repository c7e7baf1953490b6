"""The environment file of the demo: variables for a shell that continues with its campaign."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from remask_label_studio.api import BackendAddress

__all__ = ["shown_path", "write_environment"]


def write_environment(
    path: Path, *, state_dir: Path, label_studio_url: str, api_key: str, backend: BackendAddress
) -> Path:
    """Write a file to `source` in a shell, readable by its owner alone; return its path.

    Label Studio shows a personal access token whole only once, when it is made, so the demo hands
    its own on. It is valid until the next start, which makes another.

    Args:
        path: The file.
        state_dir: Where the demo's backend keeps clicks and campaigns.
        label_studio_url: Of the demo's Label Studio.
        api_key: Its access token.
        backend: Where the demo's backend answers, and its credentials.
    """
    variables = {
        "REMASK_STATE_DIR": str(state_dir),
        "LABEL_STUDIO_URL": label_studio_url,
        "LABEL_STUDIO_API_KEY": api_key,
        "BASIC_AUTH_USER": backend.user or "",
        "BASIC_AUTH_PASS": backend.password or "",
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value]
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shown_path(path: Path) -> str:
    """Return a path as it is typed at a shell in this folder."""
    try:
        return shlex.quote(str(path.relative_to(Path(os.getcwd()))))
    except ValueError:
        return shlex.quote(str(path))
