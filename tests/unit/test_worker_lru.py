"""A cache bounded in bytes."""

from __future__ import annotations

from remask_core.lru import ByteLru


def cache(bound: int) -> ByteLru[str, bytes]:
    return ByteLru(bound, size_of=len)


def test_what_was_used_longest_ago_leaves_first() -> None:
    kept = cache(10)
    kept.put("a", b"1234")
    kept.put("b", b"1234")
    kept.get("a")
    kept.put("c", b"1234")

    assert "a" in kept
    assert "c" in kept
    assert "b" not in kept
    assert kept.nbytes == 8


def test_replacing_an_entry_counts_it_once() -> None:
    kept = cache(10)
    kept.put("a", b"1234")
    kept.put("a", b"123456")

    assert (len(kept), kept.nbytes) == (1, 6)


def test_the_newest_entry_stays_even_if_it_is_too_large() -> None:
    kept = cache(10)
    kept.put("a", b"1234")
    kept.put("b", b"12345678901234")

    assert "b" in kept
    assert len(kept) == 1


def test_what_may_not_be_dropped_stays_beyond_the_bound() -> None:
    kept = cache(10)
    assert kept.put("a", b"1234", may_drop=lambda value: False) == []
    assert kept.put("b", b"123456", may_drop=lambda value: False) == []
    assert kept.put("c", b"12", may_drop=lambda value: False) == []
    assert kept.nbytes == 12
    assert kept.put("d", b"1234") == ["a", "b"]
