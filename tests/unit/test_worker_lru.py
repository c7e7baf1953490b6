"""A cache bounded in bytes."""

from __future__ import annotations

from remask_core.lru import ByteLru


def cache(bound: int) -> ByteLru[str, bytes]:
    return ByteLru(bound, size_of=len)


def test_what_was_used_longest_ago_leaves_first() -> None:
    held = cache(10)
    held.put("a", b"1234")
    held.put("b", b"1234")
    held.get("a")
    held.put("c", b"1234")

    assert "a" in held
    assert "c" in held
    assert "b" not in held
    assert held.nbytes == 8


def test_replacing_an_entry_counts_it_once() -> None:
    held = cache(10)
    held.put("a", b"1234")
    held.put("a", b"123456")

    assert (len(held), held.nbytes) == (1, 6)


def test_the_newest_entry_stays_even_if_it_is_too_large() -> None:
    held = cache(10)
    held.put("a", b"1234")
    held.put("b", b"12345678901234")

    assert "b" in held
    assert len(held) == 1
