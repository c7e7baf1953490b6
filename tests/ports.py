"""Ports for the programs that tests start."""

from __future__ import annotations

import secrets

from remask_cli.demo.programs import choose_port

__all__ = ["free_port"]


def free_port() -> int:
    """A port that is free, and that a run beside this one will hardly choose as well.

    Label Studio takes half a minute until it listens; whoever looks for a free port meanwhile must
    look elsewhere. The range lies below the ports that outgoing connections are given.
    """
    return choose_port(None, preferred=20_000 + secrets.randbelow(12_000), option="")
