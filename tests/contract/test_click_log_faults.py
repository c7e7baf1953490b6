"""The click log when its database is damaged, removed or out of reach: no row is lost unsaid."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click_log_data import CLICK, SUBMITTED
from typer.testing import CliRunner

from remask_cli.main import app, main
from remask_core.errors import InputError
from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore
from remask_storage.click_log import ClickLog
from remask_storage.click_rows import PromptRow, joined_prompts
from remask_storage.database import Database, DatabaseDamaged, DatabaseUnavailable


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sessions.db"


@pytest.fixture
def aside(place: Path) -> Path:
    return place.with_name("click-log-aside.jsonl")


@pytest.fixture
def database(place: Path) -> Iterator[Database]:
    database = Database.open(place)
    yield database
    database.close()


def clicks(count: int, *, name: str) -> list[PromptRow]:
    return [replace(CLICK, prompt_id=f"{name}{number}") for number in range(count)]


def damage(place: Path, *, upto: int | None = None) -> None:
    """Overwrite the pages of a file behind the first two, as a failing disk might."""
    with closing(sqlite3.connect(place)) as direct:
        direct.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    end = place.stat().st_size if upto is None else upto
    assert end > 20_000
    with place.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (end - 8192))


def stored(place: Path) -> set[str]:
    database = Database.open(place)
    found = {joined.prompt.prompt_id for joined in joined_prompts(database)}
    database.close()
    return found


def test_rows_for_a_damaged_database_are_set_aside_and_it_is_said(
    database: Database, place: Path, aside: Path
) -> None:
    sentences: list[str] = []
    log = ClickLog(database, aside=aside, probe_s=0.0, on_trouble=sentences.append)
    log.add(clicks(1000, name="before"))
    assert log.flush()
    damage(place)
    log.add([*clicks(700, name="after"), SUBMITTED])
    assert log.flush()
    state = log.state()
    log.close()

    assert (state.aside, state.lost, state.written) == (701, 0, 1000)
    assert "damaged" in state.trouble
    assert str(aside) in state.trouble
    assert "`remask log repair`" in state.trouble
    assert len(sentences) == 1
    assert aside.stat().st_mode & 0o077 == 0


def test_repair_keeps_what_can_be_read_and_takes_in_what_was_set_aside(
    database: Database, place: Path, aside: Path
) -> None:
    log = ClickLog(database, aside=aside, probe_s=0.0)
    log.add(clicks(3000, name="before"))
    assert log.flush()
    damage(place, upto=200_000)
    log.add(clicks(3, name="after"))
    log.close()
    database.close()

    result = CliRunner().invoke(app, ["log", "repair", "--state", str(place.parent), "--json"])
    done = json.loads(result.stdout)
    found = stored(place)

    assert result.exit_code == 0
    assert {f"after{number}" for number in range(3)} <= found
    assert done["taken_in"] == 3
    assert len(found) - 3 == done["rows"]["prompts"] > 500
    assert Path(done["damaged"]).exists()
    assert not aside.stat().st_size
    again = CliRunner().invoke(app, ["log", "repair", "--state", str(place.parent)])
    assert "not damaged" in again.stdout


def test_a_log_that_is_repaired_under_the_service_goes_on(
    database: Database, place: Path, aside: Path
) -> None:
    log = ClickLog(database, aside=aside, probe_s=0.0)
    log.add(clicks(3000, name="before"))
    assert log.flush()
    damage(place, upto=200_000)
    log.add(clicks(3, name="damaged"))
    assert log.flush()
    assert log.state().aside == 3

    CliRunner().invoke(app, ["log", "repair", "--state", str(place.parent)])
    log.add(clicks(2, name="after"))
    log.close()

    expected = {f"damaged{number}" for number in range(3)} | {"after0", "after1"}
    assert expected <= stored(place)
    assert (log.state().trouble, log.state().aside, log.state().lost) == ("", 0, 0)


def test_a_file_that_is_no_database_any_more_is_replaced(place: Path, aside: Path) -> None:
    place.parent.mkdir()
    place.write_bytes(os.urandom(5000))
    with pytest.raises(InputError, match="remask log repair"):
        Database.open(place)

    result = CliRunner().invoke(app, ["log", "repair", "--state", str(place.parent)])

    assert result.exit_code == 0
    assert stored(place) == set()


def test_a_database_out_of_reach_for_long_gets_its_rows_once_it_is_back(
    database: Database, place: Path, aside: Path
) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE prompts RENAME TO elsewhere")
    over = threading.Event()
    log = ClickLog(
        database,
        aside=aside,
        retry_s=0.01,
        patience_s=0.0,
        on_trouble=lambda sentence: None if sentence else over.set(),
    )
    log.add(clicks(5, name="early"))
    assert log.flush()
    assert log.state().aside == 5

    with closing(sqlite3.connect(place)) as direct:
        direct.execute("ALTER TABLE elsewhere RENAME TO prompts")
    log.add(clicks(2, name="late"))
    assert over.wait(10)
    log.close()

    assert len(log.prompts()) == 7
    assert (log.state().written, log.state().aside, log.state().lost) == (7, 0, 0)


def test_what_was_set_aside_is_stored_by_the_next_run(
    database: Database, place: Path, aside: Path
) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE prompts RENAME TO elsewhere")
    log = ClickLog(database, aside=aside)
    log.add(clicks(5, name="c"))
    log.close()
    assert log.state().aside == 5
    with aside.open("ab") as file:
        file.write(b'{"prompt": {"project": "cut o')
    with closing(sqlite3.connect(place)) as direct:
        direct.execute("ALTER TABLE elsewhere RENAME TO prompts")

    heir = ClickLog(database, aside=aside)
    heir.close()

    assert len(heir.prompts()) == 5
    assert (heir.state().written, heir.state().lost) == (5, 1)


def test_rows_lost_at_the_end_are_counted_and_said(database: Database, tmp_path: Path) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE prompts")
    sentences: list[str] = []
    nowhere = tmp_path / "file"
    nowhere.touch()
    log = ClickLog(database, aside=nowhere / "aside", on_trouble=sentences.append)
    log.add(clicks(5, name="c"))
    log.close()

    assert (log.state().waiting, log.state().lost) == (0, 5)
    assert "5 rows of the click log were lost" in sentences[-1]


def test_a_file_that_was_removed_is_begun_anew(database: Database, place: Path) -> None:
    log = ClickLog(database)
    log.add(clicks(2, name="before"))
    assert log.flush()
    for part in place.parent.iterdir():
        part.unlink()
    log.add(clicks(3, name="after"))
    log.close()

    assert stored(place) == {"after0", "after1", "after2"}


def test_text_that_no_database_holds_does_not_cost_the_row(database: Database) -> None:
    log = ClickLog(database)
    log.add([replace(CLICK, label="a\0b\ud800c", item_index=2**40)])
    log.close()
    (joined,) = log.prompts()

    assert joined.prompt.label == "a\ufffdb\ufffdc"
    assert joined.prompt.item_index == 2**40


def test_a_row_that_no_file_holds_is_counted_and_the_others_are_set_aside(
    database: Database, aside: Path
) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE prompts")
    log = ClickLog(database, aside=aside)
    log.add([replace(CLICK, label="\ud800"), CLICK])
    log.close()

    assert (log.state().aside, log.state().lost) == (1, 1)


def test_a_damaged_campaign_store_is_named_with_what_to_do(tmp_path: Path) -> None:
    place = tmp_path / "campaigns.db"
    store = CampaignStore.open(place)
    for number in range(300):
        store.add_campaign(Campaign(f"c{number}", 7, 0.0, policies={"": "long " * 40}), [])
    store.close()
    damage(place)
    reopened = None
    try:
        reopened = CampaignStore.open(place)
    except InputError as error:
        message = str(error)
    else:
        with pytest.raises(DatabaseDamaged) as damaged:
            reopened.campaigns()
        message = str(damaged.value)
        reopened.close()

    assert "remask campaign restore" in message


def test_a_database_that_fails_under_a_command_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    with (
        pytest.raises(DatabaseUnavailable, match="cannot be used now"),
        store.database.writing() as c,
    ):
        c.exec_driver_sql("SELECT * FROM nowhere")
    with store.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE visits")
        connection.exec_driver_sql("CREATE TABLE visits (campaign TEXT)")
    store.add_campaign(Campaign("cats", 7, 0.0), [])
    store.close()
    monkeypatch.setattr(
        sys, "argv", ["remask", "campaign", "status", "cats", "--state", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
