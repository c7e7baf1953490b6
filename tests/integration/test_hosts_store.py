"""Two hosts, one PostgreSQL: what both write at once is stored as if one had written it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from threading import Barrier

import pytest
from click_log_data import CLICK, SUBMITTED
from fake_studio import sample_instances
from postgresql import PostgreSql
from sqlalchemy import select, text

from remask_core.errors import WrongState
from remask_storage.campaign import Campaign, PlacedClick, Visit
from remask_storage.campaign_store import CampaignStore
from remask_storage.click_log import ClickLog
from remask_storage.click_tables import annotation_table, region_table
from remask_storage.database import Database, DatabaseUnavailable

OTHERWISE = "taken"


@pytest.fixture
def url(postgresql: PostgreSql) -> str:
    return postgresql.new_database()


def together(*acts: Callable[[], object]) -> None:
    """Do all of `acts` at the same moment; raise what one of them raises."""
    barrier = Barrier(len(acts))

    def act(number: int) -> object:
        barrier.wait()
        return acts[number]()

    with ThreadPoolExecutor(len(acts)) as pool:
        for future in [pool.submit(act, number) for number in range(len(acts))]:
            future.result()


def test_hosts_that_start_at_once_on_an_empty_database_all_start(url: str) -> None:
    def start() -> None:
        Database.open(url).close()
        CampaignStore.open(url).close()

    together(*[start] * 6)


def test_clicks_and_annotations_that_both_hosts_write_at_once_are_stored_once(url: str) -> None:
    """Every row comes to each host, in opposite orders; none is lost and no host is in trouble."""
    troubles: list[str] = []
    databases = [Database.open(url) for _ in range(2)]
    logs = [ClickLog(database, on_trouble=troubles.append) for database in databases]
    rows = [replace(CLICK, prompt_id=f"p{number}") for number in range(300)]
    events = [
        replace(SUBMITTED, annotation_id=number, updated_at=float(version))
        for number in range(40)
        for version in range(5)
    ]
    for chunk in range(10):
        some = [*rows[30 * chunk : 30 * chunk + 30], *events[20 * chunk : 20 * chunk + 20]]
        together(lambda some=some: logs[0].add(some), lambda some=some: logs[1].add(some[::-1]))
    for log in logs:
        log.close()

    assert troubles == []
    assert [log.state().lost for log in logs] == [0, 0]
    assert sorted(joined.prompt.prompt_id for joined in logs[0].prompts()) == sorted(
        row.prompt_id for row in rows
    )
    with databases[0].reading() as connection:
        newest = connection.execute(select(annotation_table.c.updated_at)).scalars().all()
        regions = len(connection.execute(select(region_table)).all())
    assert newest == [4.0] * 40
    assert regions == 40 * len(SUBMITTED.regions)
    for database in databases:
        database.close()


def test_the_newest_word_on_an_annotation_stands_whichever_host_heard_it(url: str) -> None:
    stores = [CampaignStore.open(url) for _ in range(2)]
    stores[0].add_campaign(Campaign("cats", 7, 1000.0), sample_instances(1))

    def said(version: int) -> list[Visit]:
        clicks = tuple(
            PlacedClick(f"k{version}-{number}", 1.0, 2.0, positive=True) for number in range(9)
        )
        return [Visit("i0", 1, 5, 11, "corrected", 3, 4.0, float(version), clicks)]

    for turn in range(20):
        old, new = 10 * turn + 1, 10 * turn + 2
        together(
            lambda: stores[0].replace_annotation("cats", 1, 5, said(new)),  # noqa: B023
            lambda: stores[1].replace_annotation("cats", 1, 5, said(old)),  # noqa: B023
        )
        assert stores[0].visits("cats") == {"i0": said(new)}
    for store in stores:
        store.close()


def test_a_campaign_is_advanced_by_one_host_at_a_time(url: str) -> None:
    ours, theirs = Database.open(url), Database.open(url)
    with ours.alone("advance cats", otherwise=OTHERWISE):
        with (
            pytest.raises(WrongState, match=OTHERWISE),
            theirs.alone("advance cats", otherwise=OTHERWISE),
        ):
            pass
        with theirs.alone("advance dogs", otherwise=OTHERWISE):
            pass
    with theirs.alone("advance cats", otherwise=OTHERWISE):
        pass
    ours.close()
    theirs.close()


def test_a_database_whose_connections_are_all_in_use_is_named(url: str) -> None:
    database = Database.open(url)
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(database.reading()).execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable, match="in use"), database.reading():
            pass
    database.close()
