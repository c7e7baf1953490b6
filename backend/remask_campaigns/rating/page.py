"""What people gave the masks of a campaign, beside what they gave the true ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from remask_campaigns.rating.project import ORIGINS, Rating
from remask_label_config.pages.rating import MOST
from remask_reports.charts import BarChart, Series
from remask_reports.intervals import known, mean_of
from remask_reports.page import (
    Cell,
    Column,
    Fact,
    Facts,
    Figure,
    Page,
    Section,
    Table,
)

__all__ = ["ratings_page", "ratings_sentence"]

_NAMES = {"campaign": "masks of the campaign", "truth": "true masks"}
_ORIGINS = Column("masks")
_COUNT = Column("ratings")
_MEAN = Column("mean", digits=1, hint="Of 1 to 10, with its 95 % range.")
_GOOD = Column("7 and more", hint="Share of ratings that tell of small mistakes at most.")


def ratings_sentence(ratings: Sequence[Rating]) -> str:
    """Return in one sentence what people gave."""
    parts = []
    for origin in ORIGINS:
        given = [rating.rating for rating in ratings if rating.origin == origin]
        if given:
            mean = mean_of(given)
            parts.append(
                f"{_NAMES[origin]} {mean.value:.1f} ({mean.low:.1f} to {mean.high:.1f}, "
                f"{len(given)} ratings)"
            )
    return "Mean of 1 to 10: " + "; ".join(parts) if parts else "nobody has rated a mask yet"


def ratings_page(ratings: Sequence[Rating], *, campaign: str, made_by: str = "") -> Page:
    """Return the report: distribution, classes, people.

    Args:
        ratings: Of `read_ratings`; none at all gives a page that says so.
        campaign: Name of the campaign.
        made_by: See `Page`.
    """
    title = f"How people rate the masks of {campaign}"
    if not ratings:
        return Page(title, (), summary=ratings_sentence(ratings), made_by=made_by)
    return Page(
        title=title,
        summary=(
            "People gave each mask 1 to 10 and did not know where it came from. What they gave "
            "true masks is what can be had at best."
        ),
        sections=(
            Section("Result", (_facts(ratings), _figure(ratings))),
            Section("Classes", (_table(ratings, "class", lambda rating: rating.label),)),
            Section("People", (_people(ratings),)),
        ),
        made_by=made_by,
    )


def _facts(ratings: Sequence[Rating]) -> Facts:
    facts = []
    for origin in ORIGINS:
        given = [rating.rating for rating in ratings if rating.origin == origin]
        if given:
            mean = mean_of(given)
            hint = f"{mean.low:.1f} to {mean.high:.1f}, {len(given)} ratings"
            facts.append(Fact(f"{mean.value:.1f}", _NAMES[origin], hint))
    seconds = known(rating.seconds for rating in ratings)
    if seconds.size:
        facts.append(Fact(f"{median(seconds.tolist()):.0f} s", "for the median rating"))
    return Facts(tuple(facts))


def _figure(ratings: Sequence[Rating]) -> Figure:
    grades = range(1, MOST + 1)
    series = []
    for origin in ORIGINS:
        given = [rating.rating for rating in ratings if rating.origin == origin]
        if given:
            shares = tuple(given.count(grade) / len(given) for grade in grades)
            series.append(Series(_NAMES[origin], tuple(map(float, range(MOST))), shares))
    chart = BarChart(tuple(series), tuple(map(str, grades)), "share of the ratings")
    return Figure(chart, "How often each rating was given.")


def _table(ratings: Sequence[Rating], title: str, group_of: Callable[[Rating], str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group in sorted({group_of(rating) for rating in ratings}):
        for origin in ORIGINS:
            given = [
                rating.rating
                for rating in ratings
                if group_of(rating) == group and rating.origin == origin
            ]
            if given:
                good = sum(rating >= 7 for rating in given) / len(given)
                rows.append((group, _NAMES[origin], len(given), mean_of(given), good))
    return Table((Column(title), _ORIGINS, _COUNT, _MEAN, _GOOD), tuple(rows))


def _people(ratings: Sequence[Rating]) -> Table:
    return _table(
        ratings,
        "person",
        lambda rating: "unknown" if rating.annotator is None else f"user {rating.annotator}",
    )
