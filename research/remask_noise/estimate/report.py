"""An estimate of label noise, told to people."""

from __future__ import annotations

from remask_noise.estimate.fit import KINDS, Estimate, Share
from remask_reports.charts import BarChart, Series
from remask_reports.page import Column, Figure, Page, Section, Table, Text

__all__ = ["page_of", "sentences_of"]


_MEASURES = {
    "dilation": "kernel",
    "erosion": "kernel",
    "localisation": "shift",
    "approximation": "tolerance",
}


def sentences_of(found: Estimate) -> list[str]:
    """Return what was found in a few lines of plain text."""
    lines = [
        f"{found.masks} masks compared with their references; shares with 95 % intervals",
        *(f"  {kind:14}{_words(found.kinds[kind])}{_px(found, kind)}" for kind in KINDS),
        f"  {'wrong class':14}{_words(found.wrong_class)} of {found.objects} objects",
        _level(found),
    ]
    for count, words in (
        (found.without_mask, "objects had no mask to compare"),
        (found.only_reference, "annotations are only in the reference"),
        (found.only_noisy, "annotations are only in the other file"),
    ):
        if count:
            lines.append(f"  note: {count} {words}")
    return lines


def page_of(found: Estimate, *, made_by: str = "") -> Page:
    """Return the estimate as a report."""
    changed = 1 - found.kinds["none"].share
    kinds = Table(
        (
            Column("kind of noise"),
            Column("share"),
            Column("from", hint="Lower end of the 95 % bootstrap interval."),
            Column("to", hint="Upper end of the 95 % bootstrap interval."),
        ),
        tuple(
            (name, share.share, share.low, share.high)
            for name, share in [*found.kinds.items(), ("wrong class", found.wrong_class)]
        ),
    )
    levels = Table(
        (Column("nearest level"), Column("share of the noisy"), Column("from"), Column("to")),
        tuple((name, s.share, s.low, s.high) for name, s in found.levels.items()),
    )
    strengths = Table(
        (
            Column("kind of noise"),
            Column("measure"),
            Column("mean, px", digits=1),
            Column("from", digits=1),
            Column("to", digits=1),
        ),
        tuple(
            (kind, _MEASURES[kind], strength.px, strength.low, strength.high)
            for kind, strength in found.strengths.items()
        ),
    )
    confusion = Table(
        (Column("made"), *(Column(kind, digits=2) for kind in KINDS)),
        tuple((kind, *row) for kind, row in found.confusion.items()),
    )
    chart = BarChart(
        (Series("share of masks", tuple(range(len(KINDS))), _values(found)),),
        KINDS,
        "share of masks",
        (0.0, 1.0),
    )
    return Page(
        "Label noise",
        (
            Section("What makes the masks differ", (Figure(chart, "Kinds of noise"), kinds)),
            Section("How strong it is", (Text(_level(found)), levels, strengths)),
            Section(
                "How far the estimate can be trusted",
                (
                    Text(
                        "Each reference was made noisy in each way, and the estimate asked what "
                        "it saw. A row is what was done, a column what was seen, on average."
                    ),
                    confusion,
                    Text(
                        f"{found.without_mask} objects had no mask to compare; "
                        f"{found.only_reference} annotations are only in the reference and "
                        f"{found.only_noisy} only in the other file."
                    ),
                ),
            ),
        ),
        summary=f"{found.masks} masks compared with their references: {changed:.0%} differ.",
        made_by=made_by,
    )


def _values(found: Estimate) -> tuple[float, ...]:
    return tuple(found.kinds[kind].share for kind in KINDS)


def _words(share: Share) -> str:
    return f"{share.share:6.3f}  [{share.low:.3f}, {share.high:.3f}]"


def _px(found: Estimate, kind: str) -> str:
    strength = found.strengths.get(kind)
    if strength is None:
        return ""
    return f"  {_MEASURES[kind]} {strength.px:.1f} px [{strength.low:.1f}, {strength.high:.1f}]"


def _level(found: Estimate) -> str:
    if found.level is None:
        return "There is too little known noise to say how strong it is."
    parts = ", ".join(f"{name} {share.share:.2f}" for name, share in found.levels.items())
    return f"The noise is nearest to level {found.level} (share of the noisy masks: {parts})."
