"""The service encodes a project's images when Label Studio names the project, if it is set so."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import ToySegmenter
from ports import free_port

from remask_service.logs import make_log
from remask_service.settings import Settings
from remask_service.web.app import create_app, service_of
from remask_worker.thread_engine import ThreadEngine

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="Cat"/></BrushLabels>
<RectangleLabels name="rect" toName="image" smart="true"><Label value="Cat"/></RectangleLabels>
</View>"""
WAIT_S = 20


@pytest.mark.parametrize("is_set", [True, False])
def test_a_project_that_is_opened_is_looked_at(is_set: bool, tmp_path: Path) -> None:
    """Label Studio is away: the log says so, and the page is answered at once all the same."""
    lines = io.StringIO()
    settings = Settings(
        state_dir=tmp_path,
        model="toy",
        label_studio_url=f"http://127.0.0.1:{free_port()}",
        label_studio_api_key="key",
        precompute=is_set,
        spill_mb=1,
    )
    app = create_app(
        settings, engine=ThreadEngine(ToySegmenter()), log=make_log("INFO", stream=lines)
    )

    def said() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in lines.getvalue().splitlines()]
        return [line for line in found if line["event"] == "precompute failed"]

    try:
        answer = app.test_client().post("/setup", json={"project": "7.1795", "schema": CONFIG})
        until = time.monotonic() + WAIT_S
        while is_set and not said() and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        service_of(app).close()

    assert answer.status_code == 200
    assert [(7, "unavailable")] * is_set == [(line["project"], line["error"]) for line in said()]
