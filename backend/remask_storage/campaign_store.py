"""The store of campaigns: a few tables in SQLite or PostgreSQL. Every write may be repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import msgspec
from sqlalchemy import Column, Connection, delete, select

from remask_core.errors import NotFound, WrongState
from remask_storage.campaign import Campaign, CampaignInstance, Mask, Round, Truth
from remask_storage.campaign_rows import (
    campaign_row,
    fields_of,
    instance_of,
    instance_row,
    mask_of,
    mask_row,
    within,
)
from remask_storage.campaign_tables import (
    add_later_columns,
    campaigns_table,
    instances_table,
    masks_table,
    metadata,
    people_table,
    rounds_table,
    truths_table,
    upsert,
)
from remask_storage.database import Database
from remask_storage.locks import serialise
from remask_storage.visit_store import VisitStore

__all__ = ["CampaignStore"]


class CampaignStore(VisitStore):
    """Campaigns with all that belongs to them; a write that is repeated changes nothing."""

    @classmethod
    def open(cls, place: str | Path) -> CampaignStore:
        """Return the store at `place`, a path or a URL as for `Database.open`.

        One that an earlier version made is brought up to date.

        Raises:
            InputError: As `Database.open`.
        """
        database = Database.open(
            place,
            metadata=metadata,
            remedy="move the file away and give `remask campaign restore NAME`",
        )
        with database.writing() as connection:
            serialise(connection, "remask: tables")
            add_later_columns(connection)
        return cls(database)

    def close(self) -> None:
        """Close every connection."""
        self.database.close()

    # Campaigns and rounds

    def campaigns(self) -> list[Campaign]:
        """Return all campaigns, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(campaigns_table.c.settings).order_by(campaigns_table.c.name)
            )
            return [msgspec.json.decode(row.settings, type=Campaign) for row in rows]

    def campaign(self, name: str) -> Campaign:
        """Return the campaign; raises `NotFound` with the names there are."""
        known = {campaign.name: campaign for campaign in self.campaigns()}
        if name not in known:
            raise NotFound(
                f"no campaign {name!r} in {self.database.place}; there are {sorted(known)}"
            )
        return known[name]

    def add_campaign(
        self,
        campaign: Campaign,
        instances: Sequence[CampaignInstance],
        truths: Iterable[Truth] = (),
    ) -> None:
        """Store a new campaign with its instances, and the truths that are known: all or nothing.

        Raises:
            WrongState: There is one of that name already.
        """
        with self.database.writing() as connection:
            serialise(connection, f"remask: campaign {campaign.name}")
            taken = select(campaigns_table.c.name).where(campaigns_table.c.name == campaign.name)
            if connection.execute(taken).first() is not None:
                raise WrongState(f"`name` must be new; there is a campaign {campaign.name!r}")
            upsert(connection, campaigns_table, [campaign_row(campaign)])
            upsert(
                connection,
                instances_table,
                [
                    instance_row(campaign.name, position, instance)
                    for position, instance in enumerate(instances)
                ],
            )
            _put_truths(connection, campaign.name, truths)

    def change_campaign(self, campaign: Campaign) -> None:
        """Store what has changed of a campaign that is there."""
        with self.database.writing() as connection:
            upsert(connection, campaigns_table, [campaign_row(campaign)])

    def delete_campaign(self, name: str) -> None:
        """Remove all rows of a campaign; there need not be any."""
        with self.database.writing() as connection:
            for table in reversed(metadata.sorted_tables):
                key = campaigns_table.c.name if table is campaigns_table else table.c.campaign
                connection.execute(delete(table).where(key == name))

    def rounds(self, campaign: str) -> list[Round]:
        """Return the campaign's rounds so far, in order."""
        query = (
            select(rounds_table)
            .where(rounds_table.c.campaign == campaign)
            .order_by(rounds_table.c.number)
        )
        with self.database.reading() as connection:
            return [Round(**fields_of(row)) for row in connection.execute(query).mappings()]

    def put_round(self, campaign: str, round_: Round) -> None:
        """Store a round, or what has changed of it."""
        with self.database.writing() as connection:
            upsert(connection, rounds_table, [{"campaign": campaign, **asdict(round_)}])

    def round_of_project(self, project: int) -> tuple[str, int] | None:
        """Return campaign and round number of one of Label Studio's projects; None if neither.

        Where a deleted project's number was given again, it is the round that was opened last.
        """
        query = (
            select(rounds_table.c.campaign, rounds_table.c.number)
            .where(rounds_table.c.project == project)
            .order_by(rounds_table.c.opened_at.desc().nulls_last())
        )
        with self.database.reading() as connection:
            row = connection.execute(query).first()
            return None if row is None else (row.campaign, row.number)

    # Instances and masks

    def instances(self, campaign: str) -> list[CampaignInstance]:
        """Return the campaign's instances in the order they were given."""
        query = (
            select(instances_table)
            .where(instances_table.c.campaign == campaign)
            .order_by(instances_table.c.position)
        )
        with self.database.reading() as connection:
            return [instance_of(row) for row in connection.execute(query).mappings()]

    def put_masks(self, campaign: str, masks: Iterable[Mask]) -> None:
        """Store masks; one of the same instance and round is replaced."""
        with self.database.writing() as connection:
            upsert(connection, masks_table, [mask_row(campaign, mask) for mask in masks])

    def drop_masks(self, campaign: str, keys: Iterable[tuple[str, int]]) -> None:
        """Remove the masks of these instances and rounds."""
        with self.database.writing() as connection:
            for instance, number in keys:
                connection.execute(
                    delete(masks_table).where(
                        masks_table.c.campaign == campaign,
                        masks_table.c.instance == instance,
                        masks_table.c.round == number,
                    )
                )

    def mask(self, campaign: str, instance: str, number: int) -> Mask | None:
        """Return the mask of an instance after a round; None if there is none."""
        query = select(masks_table).where(
            masks_table.c.campaign == campaign,
            masks_table.c.instance == instance,
            masks_table.c.round == number,
        )
        with self.database.reading() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else mask_of(row)

    def masks(
        self, campaign: str, *, of: Sequence[str] | None = None
    ) -> Iterator[tuple[str, dict[int, Mask]]]:
        """Yield each instance that has masks, with its masks by round; flat in memory.

        Args:
            campaign: Its name.
            of: Only these instances; None: all.
        """
        query = (
            select(masks_table)
            .where(*within(masks_table, campaign, of))
            .order_by(masks_table.c.instance, masks_table.c.round)
        )
        with self.database.reading() as connection:
            rows = connection.execution_options(yield_per=500).execute(query).mappings()
            for instance, own in groupby(rows, lambda row: str(row["instance"])):
                yield instance, {row["round"]: mask_of(row) for row in own}

    def rounds_masked(self, campaign: str) -> dict[str, dict[int, str]]:
        """Return instance to round to the model version of its mask, without the masks."""
        return self._masks_named(campaign, masks_table.c.model_version)

    def mask_digests(self, campaign: str) -> dict[str, dict[int, str]]:
        """Return instance to round to `Mask.history_digest`, without the masks."""
        return self._masks_named(campaign, masks_table.c.history)

    def _masks_named(self, campaign: str, name: Column[str]) -> dict[str, dict[int, str]]:
        found: dict[str, dict[int, str]] = {}
        query = select(masks_table.c.instance, masks_table.c.round, name)
        with self.database.reading() as connection:
            rows = connection.execute(query.where(masks_table.c.campaign == campaign))
            for instance, number, value in rows:
                found.setdefault(instance, {})[number] = value
        return found

    # Truth and people

    def put_truths(self, campaign: str, truths: Iterable[Truth]) -> None:
        """Store truths; one of the same instance and source is replaced."""
        with self.database.writing() as connection:
            _put_truths(connection, campaign, truths)

    def truths(self, campaign: str) -> dict[str, Truth]:
        """Return the truth of each instance that has one; painted by hand before a file's."""
        # "painted" > "file" > "by 7".
        every = self.truths_by_source(campaign)
        return {instance: by_source[max(by_source)] for instance, by_source in every.items()}

    def truths_by_source(self, campaign: str) -> dict[str, dict[str, Truth]]:
        """Return every truth there is, by instance and source."""
        found: dict[str, dict[str, Truth]] = {}
        with self.database.reading() as connection:
            query = select(truths_table).where(truths_table.c.campaign == campaign)
            for row in connection.execute(query).mappings():
                found.setdefault(row["instance"], {})[row["source"]] = Truth(**fields_of(row))
        return found

    def put_person(
        self,
        campaign: str,
        annotator: int,
        *,
        name: str,
        qualified: bool | None,
        by_hand: bool = False,
    ) -> None:
        """Store who an annotator is, and whether the test was passed (None: not taken).

        `by_hand` says that a manager has decided so, and not the test.
        """
        row = {
            "campaign": campaign,
            "annotator": annotator,
            "name": name,
            "qualified": qualified,
            "by_hand": by_hand,
        }
        with self.database.writing() as connection:
            upsert(connection, people_table, [row])

    def people(self, campaign: str) -> dict[int, tuple[str, bool | None]]:
        """Return name and verdict of each annotator, by Label Studio's id."""
        query = select(people_table).where(people_table.c.campaign == campaign)
        with self.database.reading() as connection:
            return {
                row["annotator"]: (row["name"], row["qualified"])
                for row in connection.execute(query).mappings()
            }

    def decided_by_hand(self, campaign: str) -> frozenset[int]:
        """Return the annotators whose verdict a manager has given, and not the test."""
        query = select(people_table).where(people_table.c.campaign == campaign)
        with self.database.reading() as connection:
            rows = connection.execute(query).mappings()
            return frozenset(row["annotator"] for row in rows if row["by_hand"])


def _put_truths(connection: Connection, campaign: str, truths: Iterable[Truth]) -> None:
    rows = [{"campaign": campaign, **asdict(truth)} for truth in truths]
    upsert(connection, truths_table, rows)
