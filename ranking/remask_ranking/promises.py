"""Promises about a campaign's masks: from the store to a file that exports take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from remask_campaigns.gold.instances import random_order
from remask_core.errors import InputError, NotFound
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.guarantee import Guarantee, drawn_truths, guarantee
from remask_ranking.judge import fit_rows, held_out_predictions
from remask_ranking.table import Row, feature_rows, last_rounds
from remask_storage.campaign_store import CampaignStore

__all__ = ["Promise", "campaign_guarantee", "read_promise", "rows_guarantee", "write_promise"]


class Promise(msgspec.Struct, kw_only=True, frozen=True):
    """What an export needs of a guarantee.

    Attributes:
        sentence: What a customer reads.
        instances: Names of the promised instances, the best first.
    """

    sentence: str
    instances: tuple[str, ...]


def campaign_guarantee(
    store: CampaignStore,
    name: str,
    *,
    min_iou: float = 0.8,
    bad_percent: float = 5.0,
    confidence_percent: float = 95.0,
    seed: int = 0,
    processes: int = 1,
) -> Guarantee:
    """Return what can be promised of a campaign's masks; see `rows_guarantee`.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        min_iou: As for `guarantee`.
        bad_percent: As for `guarantee`.
        confidence_percent: As for `guarantee`.
        seed: Of the draw of the truths, as given to `remask campaign gold`.
        processes: How many measure masks.

    Raises:
        NotFound: There is no such campaign.
        InputError: As `rows_guarantee`.
    """
    return rows_guarantee(
        list(campaign_rows(store, name, processes=processes)),
        min_iou=min_iou,
        bad_percent=bad_percent,
        confidence_percent=confidence_percent,
        seed=seed,
    )


def rows_guarantee(
    rows: list[Row],
    *,
    min_iou: float = 0.8,
    bad_percent: float = 5.0,
    confidence_percent: float = 95.0,
    seed: int = 0,
) -> Guarantee:
    """Return what can be promised of the masks after each instance's last round.

    Masks are ordered by a forest trained on the known truths; a mask whose truth is known is placed
    by forests that have not seen it.

    Args:
        rows: Of `campaign_rows` or `read_rows`.
        min_iou: As for `guarantee`.
        bad_percent: As for `guarantee`.
        confidence_percent: As for `guarantee`.
        seed: Of the draw of the truths.

    Raises:
        InputError: Fewer than two truths are known, they are no random draw of the masks, or a
            number is out of range.
    """
    final = last_rounds(rows)
    true = {row.instance: row.true_iou for row in final if row.true_iou is not None}
    if len(true) < 2:
        raise InputError(
            f"at least two masks must have a known truth for a promise; got {len(true)} of "
            f"{len(final)}; `remask campaign gold NAME --draw random` has some painted"
        )
    truths = drawn_truths(random_order((row.instance for row in final), seed=seed), true)
    known = [row for row in rows if row.true_iou is not None]
    by_forest = fit_rows(known, seed=0).predict(feature_rows(final)).tolist()
    predicted = dict(zip((row.instance for row in final), by_forest, strict=True))
    predicted |= held_out_predictions(known)
    return guarantee(
        predicted,
        truths,
        min_iou=min_iou,
        bad_percent=bad_percent,
        confidence_percent=confidence_percent,
    )


def write_promise(found: Guarantee, path: Path) -> None:
    """Write a guarantee as JSON: its numbers, its sentence and the promised instances.

    Raises:
        InputError: `path` cannot be written.
    """
    content: dict[str, Any] = {"sentence": found.sentence, **asdict(found)}
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    except OSError as error:
        raise InputError(f"`{path}` must be writable: {error}") from error


def read_promise(path: Path) -> Promise:
    """Return what an export needs of a file of `write_promise`.

    Raises:
        NotFound: There is no such file.
        InputError: It is no such file, or nothing is promised in it.
    """
    try:
        promise = msgspec.json.decode(path.read_bytes(), type=Promise)
    except FileNotFoundError as error:
        raise NotFound(f"no guarantee at {path}; `remask rank guarantee` makes one") from error
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"`{path}` must be a file of `remask rank guarantee`: {error}") from error
    if not promise.instances:
        raise InputError(f"`{path}` promises nothing: {promise.sentence}")
    return promise
