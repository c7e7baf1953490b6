"""The demo's campaign, from boxes to a report, by the commands that a manager would give."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from remask_cli.demo.photos import ANNOTATIONS, FOLDER
from remask_core.errors import Unavailable
from remask_label_studio.api import BackendAddress
from remask_storage.campaign_store import CampaignStore

__all__ = ["FINISHED", "YOURS", "Results", "run_main_job"]

FINISHED = "demo"
"""Name of the campaign that simulated annotators answer."""

YOURS = "your-turn"
"""Name of the campaign whose first round waits for the person at the screen."""

_POLICY = FOLDER / "policy.md"
_PEOPLE = 6


@dataclass(frozen=True, slots=True)
class Results:
    """What the job leaves behind.

    Attributes:
        folder: With `report.html`, `coco`, `openimages`, `clicks.csv` and what they were made from.
        masks_project: Label Studio's project with the final masks.
        round_project: The one with the round that is open for a person.
    """

    folder: Path
    masks_project: int
    round_project: int


def run_main_job(
    folder: Path,
    *,
    state: Path,
    label_studio_url: str,
    api_key: str,
    backend: BackendAddress,
    model: str,
    console: Console,
) -> Results:
    """Run what is not done yet of two campaigns on the demo's photos.

    One goes through three rounds by simulated annotators, and is ranked, exported and reported.
    The other stays open in its first round. What an earlier start has done is not done again.

    Args:
        folder: For the results.
        state: The backend's folder of state, where the campaigns are kept, too.
        label_studio_url: Of the demo's Label Studio.
        api_key: Its access token.
        backend: Notified of the answers.
        model: Makes the masks.
        console: Prints each command.

    Raises:
        Unavailable: A command failed.
    """
    commands = _Commands(
        {
            **os.environ,
            "LABEL_STUDIO_URL": label_studio_url,
            "LABEL_STUDIO_API_KEY": api_key,
            "REMASK_STATE_DIR": str(state),
            "BASIC_AUTH_USER": backend.user or "",
            "BASIC_AUTH_PASS": backend.password or "",
        },
        console,
    )
    campaigns = _Campaigns(state / "campaigns.db", commands, backend.url, model)
    masks = campaigns.play(FINISHED).masks_project
    assert masks is not None
    if not (folder / "report.html").is_file():
        _deliver(folder, masks, commands)
    yours = campaigns.begin(YOURS).project
    assert yours is not None
    return Results(folder, masks, yours)


@dataclass(frozen=True, slots=True)
class _Commands:
    """Runs commands of remask as a person at a shell does, and shows them."""

    environ: Mapping[str, str]
    console: Console

    def run(self, *words: str | Path) -> None:
        command = [str(word) for word in words]
        self.console.print(f"[bold]$ remask {shlex.join(command)}[/]", soft_wrap=True)
        program = [sys.executable, "-m", "remask_cli", *command]
        if subprocess.run(program, env=self.environ, check=False).returncode != 0:
            raise Unavailable(f"`remask {shlex.join(command)}` failed; it says why above")


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far a campaign is: its open round's project, or that of its masks when it is through."""

    made: bool = False
    open_project: int | None = None
    masks_project: int | None = None

    @property
    def project(self) -> int | None:
        """What there is to look at; None before the first round."""
        return self.open_project or self.masks_project


@dataclass(frozen=True, slots=True)
class _Campaigns:
    """The demo's campaigns, and the commands that bring them on."""

    place: Path
    commands: _Commands
    backend_url: str
    model: str

    def begin(self, name: str) -> _Standing:
        """Return how far a campaign is, once it is made and its first round was opened."""
        standing = self._standing(name)
        if not standing.made:
            self._create(name)
        if standing.project is None:
            self._advance(name)
            standing = self._standing(name)
        return standing

    def play(self, name: str) -> _Standing:
        """Bring a campaign through all its rounds."""
        standing = self.begin(name)
        while standing.masks_project is None:
            self.commands.run("campaign", "simulate", name, "--annotators", str(_PEOPLE))
            self._advance(name)
            standing = self._standing(name)
        return standing

    def _create(self, name: str) -> None:
        source: Sequence[str | Path] = (
            *("--coco", ANNOTATIONS),
            *("--images", FOLDER),
            *("--image-prefix", f"/data/local-files/?d={FOLDER.name}/"),
            *("--policy", _POLICY),
            *("--model", self.model),
        )
        self.commands.run("campaign", "create", name, *source, "--truth")

    def _advance(self, name: str) -> None:
        self.commands.run("campaign", "advance", name, "--backend", self.backend_url)

    def _standing(self, name: str) -> _Standing:
        store = CampaignStore.open(self.place)
        try:
            campaign = next(
                (campaign for campaign in store.campaigns() if campaign.name == name), None
            )
            if campaign is None:
                return _Standing()
            opened = [round_.project for round_ in store.rounds(name) if round_.state == "open"]
            return _Standing(True, opened[-1] if opened else None, campaign.results_project)
        finally:
            store.close()


def _deliver(folder: Path, masks_project: int, commands: _Commands) -> None:
    """Rank the masks, and write exports, click log and report; the report comes last."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows, ranker, ranks = folder / "rows.csv", folder / "ranker.npz", folder / "ranks.csv"
    fetched = folder / "label-studio.json"
    commands.run("rank", "rows", FINISHED, "--out", rows)
    commands.run("rank", "train", rows, "--out", ranker)
    commands.run("rank", "apply", rows, "--model", ranker, "--out", ranks)
    commands.run("export", "fetch", "--project", str(masks_project), "--out", fetched)
    best = ("--ranks", ranks, "--top", "70")
    commands.run("export", "coco", fetched, "--out", folder / "coco", *best)
    commands.run("export", "openimages", fetched, "--out", folder / "openimages", "--ranks", ranks)
    commands.run("log", "export", FINISHED, "--out", folder / "clicks.csv")
    report = folder / "report.html"
    commands.run("report", FINISHED, "--ranks", ranks, "--rows", rows, "--out", report)
