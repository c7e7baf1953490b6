"""Settings of automatic masks that suit each model, where nobody says otherwise.

Segment Anything has those of its authors. `convnet` looks at the image anew for each point and
offers one mask, so it is asked at fewer points; its values were measured, see
docs/automatic-masks.md.
"""

from __future__ import annotations

from typing import Any

from remask_masks.automatic.generate import AutomaticSettings

__all__ = ["automatic_settings"]

# Of `AutomaticSettings`, by model. The grid is a compromise: each point takes convnet a tenth of a
# second of one core.
_MEASURED: dict[str, dict[str, Any]] = {
    "convnet": {
        "points_per_side": 8,
        "min_score": 0.65,
        "min_stability": 0.0,
        "box_nms": 0.8,
        "max_share": 0.95,
        "min_region_px": 100,
    },
}


def automatic_settings(model: str, **given: Any) -> AutomaticSettings:
    """Return the settings for a model.

    A value that is given wins over what was measured, one by one.

    Args:
        model: A name of the registry, or any other; that has the defaults of `AutomaticSettings`.
        given: Fields of `AutomaticSettings` that the caller sets.

    Raises:
        InputError: A field's value makes no sense.
    """
    return AutomaticSettings(**{**_MEASURED.get(model, {}), **given})
