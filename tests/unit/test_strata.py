"""Kinds of objects: tiny, large, thin, beside another."""

from __future__ import annotations

import numpy as np

from remask_core.types import BoolMask
from remask_evaluation.interactive.noc import FROM_CLICKS, NocRow
from remask_evaluation.interactive.noc_report import strata_table
from remask_evaluation.strata import CROWD, LARGE, STRATA, THIN, TINY, strata_of

VALID = np.ones((200, 200), np.bool_)


def block(x0: int, y0: int, x1: int, y1: int) -> BoolMask:
    mask = np.zeros((200, 200), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_an_ordinary_object_is_in_no_stratum() -> None:
    assert strata_of(block(50, 50, 120, 120), valid=VALID) == ()


def test_an_empty_truth_is_in_no_stratum() -> None:
    assert strata_of(block(0, 0, 0, 0), valid=VALID, others=VALID) == ()


def test_size_decides_on_tiny_and_large() -> None:
    assert strata_of(block(50, 50, 81, 82), valid=VALID) == (TINY,)
    assert strata_of(block(50, 50, 82, 82), valid=VALID) == ()
    assert strata_of(block(0, 0, 200, 60), valid=VALID) == (LARGE,)


def test_a_body_with_long_legs_is_thin() -> None:
    legs = block(60, 60, 62, 190) | block(90, 60, 92, 190)

    assert strata_of(block(50, 20, 100, 60) | legs, valid=VALID) == (THIN,)
    # The same legs in a band that nobody knows: what is beside them may be the object.
    unknown = VALID & ~(block(52, 60, 100, 200) & ~legs)
    assert strata_of(block(50, 20, 100, 60) | legs, valid=unknown) == ()


def test_an_object_that_touches_another_is_beside_it() -> None:
    truth = block(50, 50, 120, 120)

    assert strata_of(truth, valid=VALID, others=block(124, 50, 160, 120)) == ()
    assert strata_of(truth, valid=VALID, others=block(123, 50, 160, 120)) == (CROWD,)
    assert list(STRATA) == [TINY, LARGE, THIN, CROWD]


def row(number: int, strata: list[str] | None) -> NocRow:
    return NocRow(
        key=str(number),
        dataset="set",
        instance=str(number),
        model="m",
        version="m@0",
        start=FROM_CLICKS,
        box=None,
        ious=[0.0, 0.5 + 0.1 * number, *[0.95] * 19],
        clicks=[],
        embed_s=0.0,
        click_s=[],
        strata=strata,
    )


def test_the_table_has_a_row_for_each_kind_that_there_is() -> None:
    rows = [row(0, [TINY]), row(1, [TINY, THIN]), row(2, []), row(3, None)]

    table = strata_table(rows, FROM_CLICKS)

    found = [cells[2:7] for cells in table.rows]
    assert found == [(TINY, 2, 2.0, 0, 0.55), (THIN, 1, 2.0, 0, 0.6)]
