"""The stores on a real PostgreSQL: what SQLite keeps, it keeps, and twice is once there, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click_log_data import CLICK, SUBMITTED
from fake_studio import DiskMaker, FakeStudio, sample_instances
from ports import free_port
from postgresql import PostgreSql

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.tasks import answer_of
from remask_core.errors import InputError
from remask_storage.campaign import Campaign, PlacedClick, Whole
from remask_storage.campaign_store import CampaignStore
from remask_storage.click_log import ClickLog
from remask_storage.database import Database, DatabaseUnavailable


@pytest.fixture
def url(postgresql: PostgreSql) -> str:
    return postgresql.new_database()


def test_a_campaign_goes_through_its_rounds(url: str) -> None:
    store = CampaignStore.open(url)
    studio = FakeStudio()
    store.add_campaign(Campaign("cats", 7, 1000.0, rounds=2), sample_instances(4))
    for number in (1, 2):
        advance(store, studio, "cats", DiskMaker(), now=lambda: 5.0)
        for task in studio.titled(f"cats · round {number}"):
            clicks = [PlacedClick(f"k{number}", 40.5, 20.5, positive=True)]
            studio.annotate(task["id"], result=answer_of(task, clicks), user=3)
    done = advance(store, studio, "cats", DiskMaker(), now=lambda: 5.0)
    assert done.results_project is not None

    visits = store.visits("cats")
    assert {len(some) for some in visits.values()} == {2}
    masks = dict(store.masks("cats"))
    assert {tuple(some) for some in masks.values()} == {(0, 1, 2)}
    store.close()
    again = CampaignStore.open(url)
    assert again.visits("cats") == visits
    assert dict(again.masks("cats")) == masks
    again.close()


def test_a_database_made_before_there_were_crops_opens(url: str) -> None:
    store = CampaignStore.open(url)
    instances = sample_instances(2)
    store.add_campaign(Campaign("old", 7, 1000.0), instances)
    with store.database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE instances DROP COLUMN whole")
    store.close()
    for _ in range(2):
        store = CampaignStore.open(url)
        assert store.instances("old") == instances
        store.close()
    crop = replace(instances[0], whole=Whole("/big.jpg", (3000, 4000), 7, 9))
    store = CampaignStore.open(url)
    store.add_campaign(Campaign("new", 7, 1000.0, crop=2.0), [crop])
    assert store.instances("new") == [crop]
    store.close()


def test_the_click_log_takes_everything_twice(url: str) -> None:
    store = Database.open(url)
    log = ClickLog(store)
    for _ in range(2):
        log.add([CLICK, SUBMITTED])
    assert log.flush()
    (joined,) = log.prompts(project="2")
    assert joined.prompt == CLICK
    assert (joined.annotation_id, joined.completed_by) == (31, 1)
    assert log.state().lost == 0
    log.close()
    store.close()


def test_what_sqlite_holds_is_held_here_too(url: str) -> None:
    """NUL in a text, and numbers beyond 32 bits; in a database that an older version made, too."""
    store = Database.open(url)
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE prompts ALTER COLUMN item_index TYPE INTEGER")
    store.close()
    store = Database.open(url)
    log = ClickLog(store)
    odd = replace(CLICK, project="odd", label="a\0b", item_index=2**40)
    log.add([odd])
    log.close()
    assert [joined.prompt for joined in log.prompts(project="odd")] == [
        replace(odd, label="a\ufffdb")
    ]
    assert log.state().lost == 0
    store.close()

    campaigns = CampaignStore.open(url)
    (instance,) = sample_instances(1)
    large = replace(instance, label="c\0t", shape_hw=(2**40, 50), source_id="\ud800")
    campaigns.add_campaign(Campaign("odd", 7, 1000.0, policies={"": "p\0q"}), [large])
    (found,) = campaigns.instances("odd")
    assert (found.label, found.shape_hw, found.source_id) == ("c\ufffdt", (2**40, 50), "\ufffd")
    campaigns.close()


def test_a_server_that_dies_under_advance_is_one_sentence_and_advance_goes_on(
    postgresql: PostgreSql, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = CampaignStore.open(url)
    store.add_campaign(Campaign("dying", 7, 1000.0, rounds=1), sample_instances(4))
    studio = FakeStudio()

    def die(what: str, done: int, total: int) -> None:
        if (what, done) == ("masks", 2):
            postgresql.stop()

    with pytest.raises(DatabaseUnavailable, match="cannot be used now") as error:
        advance(store, studio, "dying", DiskMaker(), on_progress=die)
    assert "\n" not in str(error.value)
    # Without a handler, what SQLAlchemy logs of it would come out as a traceback.
    assert caplog.records == []
    postgresql.start()
    done = advance(store, studio, "dying", DiskMaker())
    store.close()

    assert done.round is not None
    assert done.instances == 4


def test_rows_wait_for_a_server_that_is_away(
    postgresql: PostgreSql, url: str, tmp_path: Path
) -> None:
    store = Database.open(url)
    log = ClickLog(store, aside=tmp_path / "aside", retry_s=0.05, patience_s=0.2)
    postgresql.stop()
    log.add([replace(CLICK, project="away", prompt_id=str(n)) for n in range(5)])
    assert log.flush()
    assert log.state().aside == 5
    postgresql.start()
    log.add([replace(CLICK, project="away", prompt_id="last")])
    log.close()
    assert len(log.prompts(project="away")) == 6
    assert log.state().lost == 0
    store.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    port = free_port()
    with pytest.raises(InputError, match="state") as refused:
        Database.open(f"postgresql+psycopg://remask:secret@127.0.0.1:{port}/none")
    assert "secret" not in str(refused.value)
