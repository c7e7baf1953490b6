"""Tiers are folders: every test gets its folder's name as its marker."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0]
        if not tier.endswith(".py"):
            item.add_marker(tier)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder beside the checkout (golden vectors, evaluation images)."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared data beside the checkout, at {SHARED}")
    return SHARED
