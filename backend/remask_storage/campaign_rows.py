"""How the nouns of a campaign become rows of its tables, and rows become nouns again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Table

from remask_core.types import Box
from remask_storage.campaign import Campaign, CampaignInstance, Mask, Whole

__all__ = [
    "campaign_row",
    "fields_of",
    "instance_of",
    "instance_row",
    "mask_of",
    "mask_row",
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
