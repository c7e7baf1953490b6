"""A campaign's command in a process of its own, stopped by Ctrl+C while it waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from fake_studio import sample_instances
from http_site import open_site

from remask_storage.campaign import Campaign
from remask_storage.campaign_store import CampaignStore


def test_ctrl_c_ends_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    store = CampaignStore.open(tmp_path / "campaigns.db")
    store.add_campaign(Campaign("cats", 7, 1000.0), sample_instances(1))
    store.close()
    asked, stopped = threading.Event(), threading.Event()

    def hang(_handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        stopped.wait(60)

    with open_site() as site:
        site.pages["/api/current-user/whoami"] = hang
        command = ["campaign", "sync", "cats", "--url", site.url, "--state", str(tmp_path)]
        process = subprocess.Popen(
            [sys.executable, "-m", "remask_cli", *command],
            env={**os.environ, "LABEL_STUDIO_API_KEY": "token"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        stopped.set()

    assert process.returncode == 130
    assert error.splitlines() == [
        "Stopped. What was done is kept: give the same command again to go on."
    ]
