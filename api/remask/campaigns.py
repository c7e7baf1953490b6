"""Campaigns: the store of rounds, visits, clicks and masks, and the steps from round to round."""

from __future__ import annotations

from remask_campaigns.create import create_campaign
from remask_campaigns.rounds.advance import advance, close_round, open_round
from remask_campaigns.status import Status, status
from remask_label_studio.client import Connection, connect
from remask_storage.campaign import Campaign, CampaignInstance, Mask, Round, Visit
from remask_storage.campaign_store import CampaignStore

__all__ = [
    "Campaign",
    "CampaignInstance",
    "CampaignStore",
    "Connection",
    "Mask",
    "Round",
    "Status",
    "Visit",
    "advance",
    "close_round",
    "connect",
    "create_campaign",
    "open_round",
    "status",
]
