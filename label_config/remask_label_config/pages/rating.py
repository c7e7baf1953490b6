"""The page on which masks are rated, one at a time, from 1 to 10."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from remask_label_config.round_regions import FRAME_LABEL, IMAGE, MASK

__all__ = ["MOST", "rating_of", "write_rating_config"]

MOST = 10
"""The best rating; 1 is the worst."""

_RATING = "rating"

_SCALE = (
    "**10** not to be told from an outline drawn by hand",
    "**7–9** small mistakes along the outline",
    "**5–6** the object, with large mistakes",
    "**2–4** an object can be guessed, most of the outline is wrong",
    "**1** no object at all",
)

_HOW_TO = (
    "How good is the mask? Judge the magenta area alone, not whether it fits the yellow box or its "
    "class.",
    "If it is in doubt what belongs to the object, go by the reading that suits the mask best.",
    "Ctrl and the wheel zoom, H moves the picture.",
)


def write_rating_config() -> str:
    """Return the XML of a labelling configuration for rating one mask.

    The task's data brings `image` and `heading`, and a prediction the mask and its box, as
    `remask_campaigns.rating.project` writes them.
    """
    lines = [
        "<View>",
        '  <View style="display: flex; align-items: flex-start; gap: 48px">',
        '    <View style="flex: 1 1 auto; min-width: 0">',
        f'      <Image name="{IMAGE}" value="${IMAGE}" zoom="true" zoomControl="true"/>',
        "    </View>",
        '    <View style="flex: 0 0 20em; position: sticky; top: 0; font-size: 14px">',
        '      <Header value="$heading" size="4"/>',
        f'      <Rating name="{_RATING}" toName="{IMAGE}" maxRating="{MOST}" icon="star" '
        'size="medium" required="true" requiredMessage="Choose from 1 to 10 stars."/>',
        *(f'      <Markdown value="{line}"/>' for line in (*_SCALE, *_HOW_TO)),
        # Out of sight: nothing is to be drawn.
        '      <View style="display: none">',
        f'        <BrushLabels name="{MASK}" toName="{IMAGE}" smart="false">',
        '          <Label value="Object" background="#ff00ff" hotkey="f19"/>',
        f'          <Label value="{FRAME_LABEL}" background="#ffd400" hotkey="f19"/>',
        "        </BrushLabels>",
        "      </View>",
        "    </View>",
        "  </View>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


def rating_of(result: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the rating in an annotation's `result`, 1 to `MOST`; None where it gives none."""
    for entry in result:
        if entry.get("from_name") == _RATING:
            rating = (entry.get("value") or {}).get("rating")
            if isinstance(rating, int) and 1 <= rating <= MOST:
                return rating
    return None
