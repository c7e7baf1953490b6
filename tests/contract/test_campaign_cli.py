"""What the campaign commands say when something is missing, wrong or interrupted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from campaign_data import counts, square
from fake_studio import DiskMaker, FakeStudio, sample_instances
from typer.testing import CliRunner

from remask_campaigns.project_description import describe, own_projects, title_of
from remask_campaigns.qualification.exam import open_test
from remask_campaigns.rounds.advance import advance
from remask_cli.main import app, main
from remask_core.errors import InputError, NotFound, Unavailable, WrongState
from remask_storage.campaign import Campaign, Qualification, Truth
from remask_storage.campaign_store import CampaignStore

CAMPAIGN = Campaign("cats", 7, 1000.0, rounds=2)
NEED_A_CAMPAIGN = (
    *("advance", "archive", "close", "delete", "gold", "grade"),
    *("people", "qualify", "simulate", "status", "sync"),
)
LONG = "a campaign with a name of forty letters."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CampaignStore]:
    opened = CampaignStore.open(tmp_path / "campaigns.db")
    opened.add_campaign(CAMPAIGN, sample_instances(4))
    yield opened
    opened.close()


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int | str | None, str]:
    """The exit code of a command, and what it wrote to standard error."""
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", ["remask", "campaign", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "advance",
        "close",
        "sync",
        "status",
        "gold",
        "qualify",
        "grade",
        "people",
        "simulate",
        "delete",
    ],
)
def test_an_unknown_campaign_exits_2_before_anybody_is_asked(
    command: str,
    store: CampaignStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = run(monkeypatch, capsys, command, "dogs", "--state", str(tmp_path))

    assert code == 2
    assert "no campaign 'dogs'" in error
    assert "['cats']" in error


def test_without_a_token_the_variable_is_named(
    store: CampaignStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, error = run(monkeypatch, capsys, "sync", "cats", "--state", str(tmp_path))

    assert code == 2
    assert "set LABEL_STUDIO_API_KEY" in error


def test_ctrl_c_says_how_to_go_on(
    store: CampaignStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def interrupted(_url: str, _api_key: str) -> Iterator[FakeStudio]:
        yield FakeStudio()
        raise KeyboardInterrupt

    monkeypatch.setattr("remask_label_studio.client.connect", interrupted)
    code, error = run(monkeypatch, capsys, "sync", "cats", "--state", str(tmp_path))

    assert code == 130
    assert "give the same command again" in error


def test_a_name_that_titles_cannot_hold_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(LONG) == 40
    nowhere = ["--project", "3", "--url", "http://127.0.0.1:9", "--api-key", "k"]
    arguments = [*nowhere, "--state", str(tmp_path)]
    code, error = run(monkeypatch, capsys, "create", f"{LONG}.", *arguments)
    assert (code, "1 to 40 characters" in error) == (2, True)

    code, error = run(monkeypatch, capsys, "create", LONG, *arguments)
    assert (code, "does not answer" in error) == (1, True)


@pytest.mark.parametrize("kind", ["boxes", "round 123", "test · round 1", "gold twice"])
def test_every_title_fits_into_what_label_studio_takes(kind: str) -> None:
    title = title_of(LONG, kind)

    assert len(title) <= 50
    assert title.endswith(f"· {kind}")


def test_projects_with_shortened_titles_are_found_again() -> None:
    studio = FakeStudio()
    campaign = Campaign(LONG, 7, 1000.0)
    for kind in ("round 1", "round 123"):
        studio.create_project(
            title_of(LONG, kind), label_config="", description=describe(campaign, kind)
        )
    other = Campaign(f"{LONG[:-1]}!", 7, 1000.0)
    studio.create_project(
        title_of(other.name, "round 1"), label_config="", description=describe(other, "round 1")
    )

    assert [project.described.round for project in own_projects(studio, LONG)] == [1, 123]


def test_advance_names_the_reason_when_no_image_can_be_had(store: CampaignStore) -> None:
    studio = FakeStudio()
    with pytest.raises(Unavailable, match=r"i0: the image is gone; .*; and 1 more"):
        advance(store, studio, "cats", DiskMaker(fails=[f"i{n}" for n in range(4)]))

    assert studio.projects == {}


def test_an_archived_campaign_is_neither_listed_nor_advanced(
    store: CampaignStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = ["--state", str(tmp_path)]
    studio = FakeStudio()
    run(monkeypatch, capsys, "archive", "cats", *where)
    with pytest.raises(WrongState, match="--undo"):
        advance(store, studio, "cats", DiskMaker())
    listed = CliRunner().invoke(app, ["campaign", "list", *where]).stdout
    everything = CliRunner().invoke(app, ["campaign", "list", "--all", *where]).stdout
    run(monkeypatch, capsys, "archive", "cats", "--undo", *where)

    assert listed == ""
    assert "archived" in everything
    assert advance(store, studio, "cats", DiskMaker()).instances == 4


def test_a_deleted_campaign_leaves_nothing_but_what_others_made(
    store: CampaignStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = FakeStudio()
    source = studio.create_project("cats of somebody", label_config="<View/>")
    other = Campaign("cats and dogs", source, 1000.0)
    store.change_campaign(replace(CAMPAIGN, source_project=source))
    store.add_campaign(other, sample_instances(2))
    for name in ("cats", other.name):
        advance(store, studio, name, DiskMaker())
    open_test(
        store,
        studio,
        "cats",
        DiskMaker(),
        [(image, Truth(image.id, counts(square(2, 9)), "file")) for image in sample_instances(2)],
        rules=Qualification(min_instances=2),
    )
    monkeypatch.setattr("remask_label_studio.client.connect", lambda *_: nullcontext(studio))
    command = ["campaign", "delete", "cats", "--projects", "--state", str(tmp_path)]
    refused = CliRunner().invoke(app, command, input="n\n")
    before = dict(studio.projects)
    done = CliRunner().invoke(app, [*command, "--yes"])
    again = CliRunner().invoke(app, [*command, "--yes"])

    assert isinstance(refused.exception, InputError)
    assert "cats and cats · test: 6 instances" in done.stdout
    assert len(before) == 4
    assert {project["title"] for project in studio.projects.values()} == {
        "cats of somebody",
        "cats and dogs · round 1",
    }
    assert [campaign.name for campaign in store.campaigns()] == [other.name]
    assert store.instances("cats") == []
    assert dict(store.masks("cats")) == {}
    assert isinstance(again.exception, NotFound)


def test_a_deleted_project_is_named_by_the_commands(
    store: CampaignStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = FakeStudio()
    described = describe(CAMPAIGN, "boxes")
    studio.create_project("cats · boxes", label_config="", description=described)
    done = advance(store, studio, "cats", DiskMaker())
    assert done.round is not None
    assert done.round.project is not None
    studio.delete_project(done.round.project)
    monkeypatch.setattr("remask_label_studio.client.connect", lambda *_: nullcontext(studio))
    result = CliRunner().invoke(app, ["campaign", "sync", "cats", "--state", str(tmp_path)])

    assert result.exit_code == 0
    assert f"project {done.round.project} of round 1 was deleted" in result.output
