"""What a campaign could not use, in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from remask_campaigns.sources.boxes import LeftOut

__all__ = ["counted", "tell_left_out"]

_SHOWN_PER_REASON = 3


def counted(left: Sequence[LeftOut]) -> Mapping[str, int]:
    """Return how many things were left out for each reason."""
    return Counter(one.reason for one in left)


def tell_left_out(left: Sequence[LeftOut]) -> None:
    """Print how many things were left out for each reason, with the first of them."""
    for reason, count in counted(left).items():
        some = [one for one in left if one.reason == reason][:_SHOWN_PER_REASON]
        named = ", ".join(f"{one.name} ({one.detail})" if one.detail else one.name for one in some)
        more = ", …" if count > len(some) else ""
        typer.echo(f"Left out, {reason}: {count} ({named}{more})")
