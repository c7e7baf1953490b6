"""How the nouns of a campaign become rows of its tables, and rows become nouns again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, select

from remask_core.types import Box
from remask_storage.campaign import (
    Campaign,
    CampaignInstance,
    Mask,
    PlacedClick,
    Visit,
    Whole,
)
from remask_storage.campaign_tables import clicks_table, upsert, visits_table

__all__ = [
    "campaign_row",
    "fields_of",
    "instance_of",
    "instance_row",
    "mask_of",
    "mask_row",
    "put_visits",
    "read_visits",
    "remove_visits",
    "within",
]

_Row: TypeAlias = Mapping[Any, Any]


def within(table: Table, campaign: str, of: Sequence[str] | None) -> list[ColumnElement[bool]]:
    """Return the conditions for a campaign's rows, and those of some instances if any are named."""
    here = table.c.campaign == campaign
    return [here] if of is None else [here, table.c.instance.in_(of)]


def fields_of(row: _Row) -> dict[str, Any]:
    """Return the columns of a row that are fields of its noun: all but the campaign."""
    return {name: value for name, value in row.items() if name != "campaign"}


def campaign_row(campaign: Campaign) -> dict[str, Any]:
    """Return the row of a campaign."""
    return {"name": campaign.name, "settings": msgspec.json.encode(campaign)}


def instance_row(campaign: str, position: int, instance: CampaignInstance) -> dict[str, Any]:
    """Return the row of an instance, which comes at `position` in its campaign."""
    return {
        "campaign": campaign,
        "id": instance.id,
        "position": position,
        "image": instance.image,
        "height": instance.shape_hw[0],
        "width": instance.shape_hw[1],
        "label": instance.label,
        "x0": instance.box.x0,
        "y0": instance.box.y0,
        "x1": instance.box.x1,
        "y1": instance.box.y1,
        "source_task": instance.source_task,
        "source_id": instance.source_id,
        "whole": None if instance.whole is None else msgspec.json.encode(instance.whole),
    }


def instance_of(row: _Row) -> CampaignInstance:
    """Return the instance of a row."""
    whole = row["whole"]
    return CampaignInstance(
        id=row["id"],
        image=row["image"],
        shape_hw=(row["height"], row["width"]),
        label=row["label"],
        box=Box(row["x0"], row["y0"], row["x1"], row["y1"]),
        source_task=row["source_task"],
        source_id=row["source_id"],
        whole=None if whole is None else msgspec.json.decode(whole, type=Whole),
    )


def mask_row(campaign: str, mask: Mask) -> dict[str, Any]:
    """Return the row of a mask; the column of the digest has an older name."""
    fields = asdict(mask)
    return {"campaign": campaign, "history": fields.pop("history_digest"), **fields}


def mask_of(row: _Row) -> Mask:
    """Return the mask of a row."""
    fields = fields_of(row)
    return Mask(history_digest=fields.pop("history"), **fields)


def read_visits(
    connection: Connection, campaign: str, of: Sequence[str] | None
) -> dict[str, list[Visit]]:
    """Return every visit with its clicks, by instance, in order of round and annotation."""
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


def remove_visits(connection: Connection, here: Sequence[ColumnElement[bool]]) -> None:
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


def put_visits(connection: Connection, campaign: str, visits: Iterable[Visit]) -> None:
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


def _place(row: _Row) -> tuple[str, int, int]:
    return row["instance"], row["round"], row["annotation"]
