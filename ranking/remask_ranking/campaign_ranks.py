"""The ranking of a campaign from its own truths, without files between."""

from __future__ import annotations

from remask_core.errors import InputError
from remask_ranking.campaign_rows import campaign_rows
from remask_ranking.judge import Ranked, calibrated, cross_predict, fit_rows, rank_rows
from remask_ranking.ranks import Rank, Ranks
from remask_ranking.table import last_rounds
from remask_storage.campaign_store import CampaignStore

__all__ = ["campaign_ranks", "ranks_of"]


def campaign_ranks(
    store: CampaignStore, name: str, *, seed: int = 0, processes: int = 1
) -> list[Ranked]:
    """Return every mask of a campaign in its place, the best first.

    The ranking is a forest trained on the masks whose truth is known, as `remask rank train` makes
    one of the campaign's rows.

    Args:
        store: Where the campaign is kept.
        name: Of the campaign.
        seed: Of the forest.
        processes: How many measure masks.

    Raises:
        NotFound: There is no such campaign.
        InputError: The truth of fewer than two masks is known.
    """
    rows = list(campaign_rows(store, name, processes=processes))
    known = [row for row in rows if row.true_iou is not None]
    if len(last_rounds(known)) < 2:
        raise InputError(
            f"at least two masks of {name} must have a known truth to rank the others by; got "
            f"{len(last_rounds(known))}. `remask campaign gold {name}` has some painted, and "
            "`--ranks` takes a ranking of another model"
        )
    ranker = calibrated(fit_rows(known, seed=seed), known, cross_predict(known, seed=seed))
    return rank_rows(ranker, rows)


def ranks_of(ranked: list[Ranked]) -> Ranks:
    """Return a ranking by instance, as `read_ranks` gives that of a file."""
    return {
        place.row.instance: Rank(place.predicted_iou, place.rank, place.uncertainty)
        for place in ranked
    }
