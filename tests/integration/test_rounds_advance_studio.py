"""A campaign in the real Label Studio, by the command as a manager gives it; killed and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from fakes import ToySegmenter, toy_image
from studio import Studio
from werkzeug.serving import make_server

from remask_campaigns.create import tasks_of
from remask_campaigns.project_description import title_of
from remask_campaigns.rounds.instance_state import instance_states
from remask_campaigns.rounds.tasks import answer_of, instances_in
from remask_cli.demo.programs import HOST
from remask_core.types import Box
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_storage.campaign import Campaign, CampaignInstance, PlacedClick
from remask_storage.campaign_store import CampaignStore
from remask_worker.thread_engine import ThreadEngine

TESTS = Path(__file__).parent.parent
SHAPE_HW = (60, 80)
N_INSTANCES = 24


class Manager:
    """A campaign, and who gives the commands."""

    def __init__(self, studio: Studio, folder: Path, name: str) -> None:
        self.studio, self.folder, self.name = studio, folder, name
        images = studio.files_root / "images"
        instances = []
        for n in range(N_INSTANCES):
            mark = n // 2
            cv2.imwrite(str(images / f"{name}{mark}.png"), toy_image(mark, SHAPE_HW))
            address = f"/data/local-files/?d=images/{name}{mark}.png"
            box = Box(5.0 + n, 6.0, 40.0 + n, 50.0)
            instances.append(CampaignInstance(f"{name}-{n}", address, SHAPE_HW, "cat", box, n, "b"))
        base = studio.connection.create_project(f"{name} files", label_config="<View/>")
        studio.connection.serve_folder(base, images)
        store = CampaignStore.open(folder / "campaigns.db")
        store.add_campaign(
            Campaign(name, base, 1000.0, rounds=2, model="fakes:load_toy"), instances
        )
        store.close()

    def start(self, *more: str, **env: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "remask_cli", "campaign", "advance", self.name, *more]
        command += ["--state", str(self.folder), "--url", self.studio.url]
        return subprocess.Popen(
            command,
            env={
                **os.environ,
                "LABEL_STUDIO_API_KEY": self.studio.api_key,
                "PYTHONPATH": str(TESTS),
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def advance(self, *more: str) -> str:
        process = self.start(*more)
        said, complained = process.communicate(timeout=300)
        assert process.returncode == 0, complained.decode()
        return said.decode()

    def store(self) -> CampaignStore:
        return CampaignStore.open(self.folder / "campaigns.db")

    def tasks(self, kind: str) -> list[dict[str, Any]]:
        (project,) = self.studio.connection.projects_titled(title_of(self.name, kind))
        return list(tasks_of(self.studio.connection, project))

    def answer(self, number: int, clicks: Callable[[int], list[PlacedClick]]) -> None:
        for task in self.tasks(f"round {number}"):
            (instance,) = instances_in(task["data"])
            n = int(instance.id.rpartition("-")[2])
            if not task["annotations"]:
                self.studio.connection.annotate(
                    task["id"],
                    result=answer_of(task, clicks(n)),
                    skipped=False,
                    lead_time_s=7.5,
                    user=1,
                )

    def picture(self) -> dict[str, Any]:
        """All that matters, without numbers that depend on the way."""
        store = self.store()
        try:
            campaign = store.campaign(self.name)
            found: dict[str, Any] = {
                "rounds": [
                    (campaign_round.number, campaign_round.state)
                    for campaign_round in store.rounds(self.name)
                ],
                "outcomes": [
                    (state.instance.id.rpartition("-")[2], state.outcome)
                    for state in instance_states(store, campaign)
                ],
                "masks": [
                    {at: (mask.counts, mask.history_digest) for at, mask in made.items()}
                    for _, made in store.masks(self.name)
                ],
            }
        finally:
            store.close()
        for kind in ("round 1", "round 2", "masks"):
            tasks = self.tasks(kind)
            found[kind] = sorted(
                [
                    instance["id"].rpartition("-")[2]
                    for instance in task["data"]["remask"]["instances"]
                ]
                for task in tasks
            )
            found[f"{kind} regions"] = sum(
                len(annotation["result"]) for task in tasks for annotation in task["annotations"]
            )
        return found


def clicks_of_round_one(n: int) -> list[PlacedClick]:
    return [PlacedClick(f"a{n}", 70.0 - n, 30.0, True)] if n % 3 else []


def clicks_of_round_two(n: int) -> list[PlacedClick]:
    return [PlacedClick(f"b{n}", 20.0 + n, 20.0, False)] if n % 2 else []


def test_killed_at_any_time_and_given_again_the_command_ends_as_undisturbed(
    studio: Studio, tmp_path: Path
) -> None:
    undisturbed = Manager(studio, tmp_path / "calm", "calm")
    assert "Round 1 is open with 24 instances" in undisturbed.advance()
    undisturbed.answer(1, clicks_of_round_one)
    assert "Round 2 is open with 16 instances" in undisturbed.advance()
    undisturbed.answer(2, clicks_of_round_two)
    assert "/projects/" in undisturbed.advance()

    disturbed = Manager(studio, tmp_path / "storm", "storm")
    # The first command of each round is sure to be killed: a mask takes it a minute.
    moments = ((1.6, "60"), (2.2, "0.03"), (2.8, "0.03"), (3.4, "0.03"))
    killed = 0
    for number, clicks in ((1, clicks_of_round_one), (2, clicks_of_round_two), (3, None)):
        for delay_s, mask_s in moments:
            process = disturbed.start(TOY_PREDICT_S=mask_s)
            try:
                process.communicate(timeout=delay_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                killed += 1
        if clicks is not None:
            store = disturbed.store()
            rounds = store.rounds("storm")
            store.close()
            if not rounds or rounds[-1].number < number or rounds[-1].state != "open":
                disturbed.advance()
            disturbed.answer(number, clicks)
        else:
            disturbed.advance()

    assert killed >= 3
    assert undisturbed.picture() == disturbed.picture()


def test_an_answer_reaches_the_store_by_itself_where_a_backend_is_named(
    studio: Studio, tmp_path: Path
) -> None:
    manager = Manager(studio, tmp_path, "hook")
    app = create_app(
        Settings(state_dir=tmp_path, model="toy", basic_auth_user="ls", basic_auth_pass="secret"),
        engine=ThreadEngine(ToySegmenter()),
    )
    server = make_server(HOST, 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        login = {"BASIC_AUTH_USER": "ls", "BASIC_AUTH_PASS": "secret"}
        process = manager.start("--backend", f"http://{HOST}:{server.port}", **login)
        complained = process.communicate(timeout=300)[1]
        assert process.returncode == 0, complained.decode()
        task = manager.tasks("round 1")[0]
        clicks = [PlacedClick("k", 70.0, 30.0, True)]
        given = {"skipped": False, "lead_time_s": 7.5, "user": 1}
        annotation = studio.connection.annotate(task["id"], result=answer_of(task, clicks), **given)
        # Label Studio tells before it answers whoever annotates.
        service_of(app).campaign_events.flush()
        store = manager.store()
        told = store.visits("hook")
        studio.connection.client.annotations.delete(id=annotation)
        service_of(app).campaign_events.flush()
        gone = store.visits("hook")
        store.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        service_of(app).close()

    ((visit,),) = told.values()
    assert (visit.outcome, visit.lead_time_s, visit.annotator) == ("corrected", 7.5, 1)
    assert visit.clicks[0].x == pytest.approx(70.0)
    assert gone == {}
