"""The stores on a real PostgreSQL: what SQLite keeps, it keeps, and twice is once there, too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click_log_data import CLICK, SUBMITTED
from fake_studio import DiskMaker, FakeStudio, sample_instances
from ports import free_port

from remask_campaigns.rounds.advance import advance
from remask_campaigns.rounds.tasks import answer_of
from remask_core.errors import InputError
from remask_storage.campaign import Campaign, PlacedClick, Whole
from remask_storage.campaign_store import CampaignStore
from remask_storage.click_log import ClickLog
from remask_storage.database import Database

OWNER = "postgres"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of its own, on the loopback only, stopped at the end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("needs PostgreSQL's programs (Debian's package postgresql)")
    programs = found[-1].parent if found else Path(str(on_path)).parent
    # PostgreSQL refuses to run as root, and its owner must reach the folder.
    owner = OWNER if os.geteuid() == 0 else None
    folder = tmp_path_factory.mktemp("postgresql")
    data = folder / "data"
    if owner is not None:
        for one in (folder, *folder.parents[:2]):
            one.chmod(0o755)
        shutil.chown(folder, owner)
    port = free_port()

    def run(*command: str | Path) -> None:
        subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, user=owner, cwd=folder
        )

    run(programs / "initdb", "-D", data, "-A", "trust", "-U", "remask", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    yield f"postgresql+psycopg://remask@127.0.0.1:{port}/postgres"
    run(programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")


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
    with store.store.writing() as connection:
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
    (joined,) = log.prompts()
    assert joined.prompt == CLICK
    assert (joined.annotation_id, joined.completed_by) == (31, 1)
    assert log.state().lost == 0
    log.close()
    store.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    port = free_port()
    with pytest.raises(InputError, match="state") as refused:
        Database.open(f"postgresql+psycopg://remask:secret@127.0.0.1:{port}/none")
    assert "secret" not in str(refused.value)
