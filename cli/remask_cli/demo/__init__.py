"""`remask demo`: Label Studio with the backend on real photos."""

from __future__ import annotations

from remask_cli.demo.command import register

__all__ = ["register"]
