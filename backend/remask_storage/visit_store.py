"""The visits of campaigns: what annotations say of instances, with their clicks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select

from remask_storage.campaign import PlacedClick, Visit
from remask_storage.campaign_rows import fields_of, within
from remask_storage.campaign_tables import clicks_table, upsert, visits_table
from remask_storage.database import Database
from remask_storage.locks import serialise

__all__ = ["VisitStore"]


class VisitStore:
    """Visits in one database; a write that is repeated changes nothing."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def replace_visits(
        self, campaign: str, number: int, tasks: Iterable[int] | None, visits: Iterable[Visit]
    ) -> None:
        """Make `visits` all there are of these tasks (None: of the whole round).

        What an annotator has withdrawn or deleted is thereby gone.
        """
        with self.database.writing() as connection:
            serialise(connection, _visits_of(campaign, number))
            here = [visits_table.c.campaign == campaign, visits_table.c.round == number]
            if tasks is not None:
                here.append(visits_table.c.task.in_(list(tasks)))
            _remove_visits(connection, here)
            _put_visits(connection, campaign, visits)

    def replace_annotation(
        self, campaign: str, number: int, annotation: int, visits: Sequence[Visit]
    ) -> None:
        """Make `visits` all that one annotation says, unless something newer is known of it."""
        newest = max((visit.updated_at for visit in visits), default=float("inf"))
        here = [
            visits_table.c.campaign == campaign,
            visits_table.c.round == number,
            visits_table.c.annotation == annotation,
        ]
        with self.database.writing() as connection:
            serialise(connection, _visits_of(campaign, number))
            newer = select(visits_table.c.instance).where(*here, visits_table.c.updated_at > newest)
            if connection.execute(newer.limit(1)).first() is not None:
                return
            _remove_visits(connection, here)
            _put_visits(connection, campaign, visits)

    def visits(self, campaign: str, *, of: Sequence[str] | None = None) -> dict[str, list[Visit]]:
        """Return every visit with its clicks, by instance, in order of round and annotation.

        Args:
            campaign: Its name.
            of: Only of these instances; None: all.
        """
        with self.database.reading() as connection:
            return _read_visits(connection, campaign, of)

    def keep_visits(self, campaign: str, number: int) -> int:
        """Keep the visits of a round whose project is gone; return how many there are.

        Their tasks and annotations get negative numbers, for Label Studio may give the numbers
        again, to other tasks and annotations.
        """
        here = [visits_table.c.campaign == campaign, visits_table.c.round == number]
        with self.database.writing() as connection:
            serialise(connection, _visits_of(campaign, number))
            stored = chain.from_iterable(_read_visits(connection, campaign, None).values())
            visits = [visit for visit in stored if visit.round == number]
            _remove_visits(connection, [*here, visits_table.c.task > 0])
            _put_visits(
                connection,
                campaign,
                (
                    replace(visit, task=-visit.task, annotation=-visit.annotation)
                    for visit in visits
                    if visit.task > 0
                ),
            )
        return len(visits)


def _visits_of(campaign: str, number: int) -> str:
    """Return the name under which the writers of a round's visits, on any host, take turns."""
    return f"remask: visits {number} {campaign}"


def _read_visits(
    connection: Connection, campaign: str, of: Sequence[str] | None
) -> dict[str, list[Visit]]:
    order = (visits_table.c.instance, visits_table.c.round, visits_table.c.annotation)
    clicks: dict[tuple[str, int, int], list[PlacedClick]] = {}
    query = select(clicks_table).where(*within(clicks_table, campaign, of))
    for row in connection.execute(query.order_by(clicks_table.c.position)).mappings():
        click = PlacedClick(row["id"], row["x"], row["y"], row["positive"], row["at"])
        clicks.setdefault(_place(row), []).append(click)
    query = select(visits_table).where(*within(visits_table, campaign, of)).order_by(*order)
    found: dict[str, list[Visit]] = {}
    for row in connection.execute(query).mappings():
        visit = Visit(**fields_of(row), clicks=tuple(clicks.get(_place(row), ())))
        found.setdefault(visit.instance, []).append(visit)
    return found


def _remove_visits(connection: Connection, here: Sequence[ColumnElement[bool]]) -> None:
    """Remove the visits that the conditions name, with their clicks."""
    keys = [
        visits_table.c.campaign,
        visits_table.c.instance,
        visits_table.c.round,
        visits_table.c.annotation,
    ]
    gone = connection.execute(select(*keys).where(*here)).all()
    for campaign, instance, number, annotation in gone:
        connection.execute(
            delete(clicks_table).where(
                clicks_table.c.campaign == campaign,
                clicks_table.c.instance == instance,
                clicks_table.c.round == number,
                clicks_table.c.annotation == annotation,
            )
        )
    connection.execute(delete(visits_table).where(*here))


def _put_visits(connection: Connection, campaign: str, visits: Iterable[Visit]) -> None:
    """Store visits with their clicks; those of the same annotation and instance are replaced."""
    for visit in visits:
        row = {name: value for name, value in asdict(visit).items() if name != "clicks"}
        upsert(connection, visits_table, [{"campaign": campaign, **row}])
        place = {
            "campaign": campaign,
            "instance": visit.instance,
            "round": visit.round,
            "annotation": visit.annotation,
        }
        upsert(
            connection,
            clicks_table,
            [
                {**place, "position": position, **asdict(click)}
                for position, click in enumerate(visit.clicks)
            ],
        )


def _place(row: Mapping[Any, Any]) -> tuple[str, int, int]:
    return row["instance"], row["round"], row["annotation"]
