"""Tiers are folders: every test gets its folder's name as its marker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from postgresql import PostgreSql
    from ray_cluster import Cluster
    from studio import Studio

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared"
GOLDEN = {"ours": TESTS / "golden", "authors": SHARED / "golden"}

# How long an example takes says more about the machine than about the code.
settings.register_profile("remask", deadline=None)
settings.load_profile("remask")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--browser-slowdown",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="run the browser of the e2e tests as on a machine slower by this factor",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(TESTS).parts[0]
        if not tier.endswith(".py"):
            item.add_marker(tier)
        # Whichever test comes first waits for Label Studio to make its database, or for Ray.
        if {"studio", "cluster"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The real Label Studio, one for the whole run."""
    # Its client takes a second to import, which only these tests should spend.
    from studio import running_studio

    with running_studio(tmp_path_factory.mktemp("label-studio")) as running:
        yield running


@pytest.fixture(scope="session")
def postgresql_of_the_run() -> Iterator[PostgreSql]:
    """A real PostgreSQL, one for the whole run."""
    from postgresql import running_postgresql

    with running_postgresql() as running:
        yield running


@pytest.fixture
def postgresql(postgresql_of_the_run: PostgreSql) -> Iterator[PostgreSql]:
    """The real PostgreSQL, which runs again after the test; it gives each test a new database."""
    yield postgresql_of_the_run
    postgresql_of_the_run.start()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Ray with two replicas of the toy model, one for the whole run."""
    from ray_cluster import running_cluster

    folder = tmp_path_factory.mktemp("cluster")
    with running_cluster(folder, toy={"TOY_EMBED_S": "0.05"}, replicas=2) as running:
        yield running


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder beside the checkout (golden vectors, evaluation images)."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the shared data beside the checkout, at {SHARED}")
    return SHARED


@pytest.fixture(
    scope="session", params=[name for name, folder in GOLDEN.items() if folder.is_dir()]
)
def golden_folder(request: pytest.FixtureRequest) -> Path:
    """A folder of golden vectors: those in the repository, then those beside the checkout.

    tests/golden/README.md says how ours were made. The others come from the papers' own code;
    where they are absent, tests run on ours alone.
    """
    return GOLDEN[request.param]
