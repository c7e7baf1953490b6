"""What the doctor found at one link of the chain, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from remask_core.errors import RemaskError

__all__ = ["Finding", "State", "examined", "is_healthy"]

State: TypeAlias = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One link, examined.

    Attributes:
        link: Which, in two or three words.
        state: `ok`; `warning`: works, but look at it; `failed`; `skipped`: not examined, because
            an earlier link failed or was not asked for.
        found: What was found, a sentence or less.
        cure: What to do; empty where there is nothing to do.
        seconds: How long the link took, where that is of interest.
    """

    link: str
    state: State
    found: str
    cure: str = ""
    seconds: float | None = None


def examined(link: str, look: Callable[[], Finding], *, cure: str) -> Finding:
    """Return what `look` finds; an error of ours becomes a failed link with the usual cure."""
    began = time.perf_counter()
    try:
        return look()
    except RemaskError as error:
        return Finding(link, "failed", str(error), cure, time.perf_counter() - began)


def is_healthy(findings: list[Finding]) -> bool:
    """Return whether no link failed."""
    return all(finding.state != "failed" for finding in findings)
