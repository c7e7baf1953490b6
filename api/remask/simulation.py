"""Simulated annotators: the boxes they draw, the clicks they give, the time they take."""

from __future__ import annotations

from remask_simulation.annotators import Annotator, SimulatedVisit, crew, visit
from remask_simulation.boxes import jittered_box, noisy_box
from remask_simulation.clicks import (
    baseline_click,
    boundary_clicks,
    region_clicks,
    uniform_clicks,
)

__all__ = [
    "Annotator",
    "SimulatedVisit",
    "baseline_click",
    "boundary_clicks",
    "crew",
    "jittered_box",
    "noisy_box",
    "region_clicks",
    "uniform_clicks",
    "visit",
]
