"""What a study of label noise says of itself: a cost that is shown, or hidden by chance."""

from __future__ import annotations

from remask_noise.study.report import verdicts_of
from remask_noise.study.run import StudySummary
from remask_reports.estimate import Estimate


def summary(noise: str, level: str, ap: float, *, spread: float, seeds: int = 3) -> StudySummary:
    estimate = Estimate(ap, ap - spread / 2, ap + spread / 2) if seeds > 1 else Estimate(ap)
    return StudySummary(
        noise=noise,  # type: ignore[arg-type]
        level=level,
        loss="ce",
        seeds=seeds,
        ap=estimate,
        ap50=estimate,
        boundary_ap=estimate,
        boundary_ap50=estimate,
        foreground_ap=estimate,
        kept=1.0,
        boundary_kept=1.0,
        wrong_class=0.0,
        mask_iou=1.0,
    )


def test_a_fall_beyond_what_seeds_differ_by_is_a_cost() -> None:
    (verdict,) = verdicts_of(
        [
            summary("clean", "none", 0.210, spread=0.03),
            summary("class", "easy", 0.180, spread=0.05),
            summary("class", "hard", 0.130, spread=0.04),
        ]
    )

    assert verdict == (
        "class: mask AP falls by 0.080 from clean to hard, more than the 0.050 by which seeds "
        "differ: it costs."
    )


def test_a_smaller_fall_is_hidden_and_levels_out_of_order_are_named() -> None:
    (verdict,) = verdicts_of(
        [
            summary("clean", "none", 0.100, spread=0.05),
            summary("both", "easy", 0.090, spread=0.02),
            summary("both", "medium", 0.095, spread=0.02),
            summary("both", "hard", 0.110, spread=0.02),
        ]
    )

    assert "mask AP rises by 0.010 from clean to hard, and seeds differ by 0.050" in verdict
    assert "too small to show" in verdict
    assert "medium came out above easy, hard came out above medium" in verdict


def test_one_seed_decides_nothing() -> None:
    found = verdicts_of(
        [
            summary("clean", "none", 0.2, spread=0, seeds=1),
            summary("spatial", "hard", 0.1, spread=0, seeds=1),
        ]
    )

    assert len(found) == 1
    assert "with one seed nobody can say" in found[0]
    assert verdicts_of([]) == []
