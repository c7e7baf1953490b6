"""The click log on a real SQLite file."""

from __future__ import annotations

import csv
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click_log_data import CLICK, SUBMITTED
from typer.testing import CliRunner

from remask_cli.log import app
from remask_core.errors import InputError
from remask_exports.click_table import write_live_prompts
from remask_storage.click_log import ClickLog
from remask_storage.click_rows import AnnotationEvent
from remask_storage.database import Database, DatabaseUnavailable
from remask_storage.task_notes import KnownPrompt, TaskNotes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    store = Database.open(tmp_path / "state" / "sessions.db")
    yield store
    store.close()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_the_state_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask; what an older version left open is closed, a shared folder is not."""
    before = os.umask(0)
    try:
        folder = tmp_path / "state"
        store = Database.open(folder / "sessions.db")
        log = ClickLog(store)
        log.add([CLICK])
        log.flush()
        fresh = {".": stat.S_IMODE(folder.stat().st_mode)} | modes(folder)
        log.close()
        store.close()
        folder.chmod(0o755)
        (folder / "sessions.db").chmod(0o644)
        Database.open(folder / "sessions.db").close()
    finally:
        os.umask(before)

    assert fresh.pop(".") == 0o700
    assert "sessions.db" in fresh
    assert set(fresh.values()) == {0o600}
    assert modes(folder)["sessions.db"] == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.fixture
def log(store: Database) -> Iterator[ClickLog]:
    log = ClickLog(store, retry_s=0.01)
    yield log
    log.close()


def test_a_prompt_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    first = Database.open(path)
    log = ClickLog(first)
    log.add([CLICK])
    log.close()
    first.close()

    second = Database.open(path)
    reopened = ClickLog(second)
    found = reopened.prompts()
    reopened.close()
    second.close()

    assert [joined.prompt for joined in found] == [CLICK]


def test_the_log_knows_which_prompts_were_answered(log: ClickLog, store: Database) -> None:
    other = CLICK.task + 1
    log.add(
        [
            replace(CLICK, prompt_id="a", outcome="answered"),
            replace(CLICK, prompt_id="b", outcome="failed", positive=False),
            replace(CLICK, prompt_id="c", outcome="answered", task=other),
            replace(CLICK, prompt_id="e", outcome="empty"),
        ]
    )
    log.flush()
    notes = TaskNotes(store)

    known = notes.known(CLICK.project, CLICK.task, ["a", "b", "c", "d", "e"])

    notes.close()
    assert known == {
        "a": KnownPrompt(CLICK.arrived_at, True, "answered"),
        "b": KnownPrompt(CLICK.arrived_at, False, "failed"),
        "e": KnownPrompt(CLICK.arrived_at, True, "waiting"),
    }


def test_an_answer_finds_its_rows_stored_and_waits_for_no_database_that_fails(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ClickLog(store, retry_s=0.01)
    for number in range(20):
        log.add([replace(CLICK, prompt_id=str(number))])
        assert log.settle()
        assert len(log.prompts()) == number + 1

    def fail(self: Database) -> None:
        raise DatabaseUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin_anew_if_removed", fail)
        log.add([replace(CLICK, prompt_id="late")])
        # Far longer than the test may take: it returns because writing fails.
        assert not log.settle(timeout_s=1000)
        assert not log.settle(timeout_s=1000)
    log.close()
    assert len(log.prompts()) == 21


def test_closing_writes_everything_that_waits(store: Database) -> None:
    log = ClickLog(store)
    log.add([replace(CLICK, prompt_id=str(n)) for n in range(1200)])
    log.close()

    assert log.state().written == 1200
    assert len(log.prompts()) == 1200


def test_the_same_prompt_twice_is_one_row(log: ClickLog) -> None:
    log.add([CLICK, replace(CLICK, arrived_at=CLICK.arrived_at + 5, latency_ms=1.0)])
    log.flush()

    assert [joined.prompt for joined in log.prompts()] == [CLICK]


def test_a_failed_prompt_that_is_answered_later_gets_its_answer(log: ClickLog) -> None:
    failed = replace(
        CLICK, outcome="failed", error_code="overloaded", region_id=None, score=None, model_ms=None
    )
    log.add([failed, CLICK, failed])
    log.flush()

    [joined] = log.prompts()

    assert joined.prompt == CLICK


def test_a_prompt_is_joined_to_the_annotation_that_holds_it(log: ClickLog) -> None:
    log.add([CLICK, SUBMITTED])
    log.flush()

    [joined] = log.prompts()

    assert (joined.annotation_id, joined.completed_by, joined.lead_time_s) == (31, 1, 12.3)


def test_a_prompt_that_vanished_on_accept_is_joined_by_its_mask(log: ClickLog) -> None:
    log.add([CLICK, replace(SUBMITTED, regions=(("mask_1", "brushlabels"),))])
    log.flush()

    [joined] = log.prompts()

    assert joined.annotation_id == 31


def test_equal_region_ids_on_another_task_are_not_joined(log: ClickLog) -> None:
    log.add([CLICK, replace(SUBMITTED, task=34)])
    log.flush()

    [joined] = log.prompts()

    assert joined.annotation_id is None


def test_a_webhook_delivered_twice_changes_nothing(log: ClickLog) -> None:
    log.add([CLICK, SUBMITTED, SUBMITTED])
    log.flush()

    assert len(log.prompts()) == 1


def test_an_older_event_does_not_undo_a_newer_one(log: ClickLog) -> None:
    newer = replace(SUBMITTED, updated_at=SUBMITTED.updated_at + 10, lead_time_s=20.0)
    log.add([CLICK, newer, SUBMITTED])
    log.flush()

    [joined] = log.prompts()

    assert joined.lead_time_s == 20.0


@pytest.mark.parametrize("known", [True, False])
def test_a_deleted_annotation_stays_deleted(log: ClickLog, known: bool) -> None:
    """Whether or not it was known before, and whatever arrives late."""
    deleted = AnnotationEvent(
        annotation_id=31,
        project=None,
        task=None,
        outcome="deleted",
        completed_by=None,
        lead_time_s=None,
        updated_at=0.0,
        received_at=1795198700.0,
    )
    log.add([CLICK, *([SUBMITTED] if known else []), deleted, deleted, SUBMITTED])
    log.flush()

    [joined] = log.prompts()

    assert joined.annotation_outcome == ("deleted" if known else None)


def test_prompts_come_in_order_of_arrival_and_by_project(log: ClickLog) -> None:
    second = replace(CLICK, prompt_id="b", arrived_at=CLICK.arrived_at + 1)
    other = replace(CLICK, prompt_id="c", project="3")
    log.add([second, other, CLICK])
    log.flush()

    assert [j.prompt.prompt_id for j in log.prompts(project="2")] == ["ZbvQfKcKaR", "b"]


def test_a_database_that_cannot_be_written_holds_rows_until_it_can(tmp_path: Path) -> None:
    """As when the disk is full: nothing raised, nothing lost, the trouble is told once."""
    told: list[str] = []
    in_trouble, over = threading.Event(), threading.Event()

    def note(sentence: str) -> None:
        told.append(sentence)
        (in_trouble if sentence else over).set()

    path = tmp_path / "sessions.db"
    store = Database.open(path)
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE prompts RENAME TO elsewhere")
    log = ClickLog(store, retry_s=0.01, on_trouble=note)
    log.add([CLICK])
    assert in_trouble.wait(10)
    waiting = log.state().waiting

    with sqlite3.connect(path) as direct:
        direct.execute("ALTER TABLE elsewhere RENAME TO prompts")
    direct.close()
    assert over.wait(10)
    assert log.flush()
    rows = log.prompts()
    log.close()
    store.close()

    assert waiting == 1
    assert [joined.prompt for joined in rows] == [CLICK]
    assert [bool(sentence) for sentence in told] == [True, False]


def test_rows_beyond_the_capacity_are_counted_as_lost(tmp_path: Path) -> None:
    store = Database.open(tmp_path / "sessions.db")
    with store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE prompts")
    log = ClickLog(store, capacity=2, retry_s=0.01)
    log.add([replace(CLICK, prompt_id=str(n)) for n in range(5)])

    assert (log.state().waiting, log.state().lost) == (2, 3)
    log.close()
    store.close()
    assert (log.state().waiting, log.state().lost) == (0, 5)


def test_a_row_that_the_database_refuses_does_not_hold_up_the_others(log: ClickLog) -> None:
    log.add([replace(CLICK, task=2**70, prompt_id="bad"), CLICK])
    log.flush()

    assert [joined.prompt for joined in log.prompts()] == [CLICK]
    assert log.state().lost == 1


def test_a_bug_while_writing_does_not_end_the_thread(
    log: ClickLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw: the row waits, and is stored when it is over."""
    with monkeypatch.context() as patch:
        patch.setattr(log, "_take", lambda _batch: 1 / 0)
        log.add([CLICK])
        assert not log.flush(timeout_s=0.2)
        troubled = log.state()

    assert (troubled.alive, troubled.waiting) == (True, 1)
    assert "ZeroDivisionError" in troubled.trouble
    assert log.flush()
    assert log.state().trouble == ""
    assert [joined.prompt for joined in log.prompts()] == [CLICK]


def test_two_processes_worth_of_writers_share_one_file(tmp_path: Path) -> None:
    stores = [Database.open(tmp_path / "sessions.db") for _ in range(2)]
    logs = [ClickLog(store) for store in stores]
    for n in range(200):
        logs[n % 2].add([replace(CLICK, prompt_id=str(n))])
    for log in logs:
        log.close()

    assert len(logs[0].prompts()) == 200
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    "place", ["nonsense://x", "postgresql+nodriver://localhost/x", "/proc/remask/sessions.db"]
)
def test_a_place_that_cannot_hold_a_store_is_refused_with_a_sentence(place: str) -> None:
    with pytest.raises(InputError, match="`state`"):
        Database.open(place)


def test_the_prompts_leave_as_a_table_with_what_became_of_them(
    store: Database, log: ClickLog, tmp_path: Path
) -> None:
    log.add([CLICK, replace(CLICK, project="3", prompt_id="other"), SUBMITTED])
    log.flush()

    assert write_live_prompts(store, tmp_path / "all.csv") == 2
    assert write_live_prompts(store, tmp_path / "one.csv", project="2") == 1
    [line] = csv.DictReader((tmp_path / "one.csv").read_text().splitlines())
    assert (line["prompt_id"], line["positive"], line["x1"]) == ("ZbvQfKcKaR", "true", "")
    assert (line["annotation_id"], line["completed_by"], line["lead_time_s"]) == ("31", "1", "12.3")


def test_the_command_writes_what_was_pointed_at_live(
    store: Database, log: ClickLog, tmp_path: Path
) -> None:
    log.add([CLICK])
    log.flush()
    out, state = tmp_path / "prompts.csv", tmp_path / "state"
    arguments = ["export", "--live", "--project", "2", "--out", str(out), "--state", str(state)]

    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert len(out.read_text().splitlines()) == 2
