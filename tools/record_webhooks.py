"""Record what Label Studio sends: webhooks of annotations, and an export, for the contract tests.

    python -m tools.record_webhooks

Starts a Label Studio of its own on the loopback, connects a backend that only listens, submits,
skips, changes and deletes annotations through the API, and writes the bodies that arrived to
tests/contract/data/label_studio. Ids and times differ from run to run; the tests read them from the
files. Look at the change before you commit it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from remask_cli.demo.label_studio import Account, find_label_studio, log_in, start_label_studio
from remask_cli.demo.programs import HOST, choose_port
from remask_core.rle_ls import encode_ls_rle

FOLDER = Path(__file__).parent.parent / "tests" / "contract" / "data" / "label_studio"
ACCOUNT = Account(email="annotator@example.com", password="a-long-password")
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="mask" toName="image"><Label value="cat"/></BrushLabels>
  <KeyPointLabels name="click" toName="image" smart="true"><Label value="cat"/></KeyPointLabels>
</View>"""
WAIT_S = 60.0


class Recorder:
    """The bodies that arrived, by their `action`; whoever waits is woken by each."""

    def __init__(self) -> None:
        self._bodies: list[dict[str, Any]] = []
        self._came = threading.Condition()

    def add(self, body: dict[str, Any]) -> None:
        with self._came:
            self._bodies.append(body)
            self._came.notify_all()

    def take(self, action: str) -> dict[str, Any]:
        """Return the next body of this action, waiting for it, and forget all that came before."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [body for body in self._bodies if body.get("action") == action]
            return bool(found)

        with self._came:
            if not self._came.wait_for(is_there, WAIT_S):
                raise TimeoutError(f"Label Studio sent no {action} within {WAIT_S} s")
            self._bodies.clear()
        return found[0]


@contextmanager
def listening(recorder: Recorder) -> Iterator[str]:
    """Give the address of a backend that answers every request and records what is posted."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            recorder.add(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer()

        def _answer(self) -> None:
            body = json.dumps({"status": "UP", "model_version": "recorder"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()


def regions() -> list[dict[str, Any]]:
    """Return a mask and its two clicks, as an answer of the backend stands in an annotation."""
    mask = np.zeros((30, 40), np.bool_)
    mask[8:20, 10:28] = True
    common = {"original_width": 40, "original_height": 30, "image_rotation": 0, "origin": "manual"}
    found: list[dict[str, Any]] = [
        {
            **common,
            "id": "mask1",
            "from_name": "mask",
            "to_name": "image",
            "type": "brushlabels",
            "value": {"format": "rle", "rle": encode_ls_rle(mask), "brushlabels": ["cat"]},
        }
    ]
    for number, (x, y, positive) in enumerate([(25.0, 40.0, True), (90.0, 90.0, False)]):
        found.append(
            {
                **common,
                "id": f"click{number}",
                "parentID": "mask1",
                "from_name": "click",
                "to_name": "image",
                "type": "keypointlabels",
                "meta": {"rid": "mask1", "n": number, "step": number, "pos": positive},
                "value": {"x": x, "y": y, "width": 0.5, "keypointlabels": ["cat"]},
            }
        )
    return found


def record(session: httpx.Client, recorder: Recorder, backend: str) -> dict[str, Any]:
    """Return every recorded body by the name of its file."""

    def call(method: str, path: str, body: object = None) -> Any:
        answer = session.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    project = call("POST", "/api/projects/", {"title": "recording", "label_config": CONFIG})["id"]
    model = call("POST", "/api/ml/", {"project": project, "url": backend, "title": "recorder"})
    images = [{"image": f"https://example.org/{name}.jpg"} for name in ("first", "second")]
    call("POST", f"/api/projects/{project}/import", [{"data": data} for data in images])
    tasks = call("GET", f"/api/tasks/?project={project}&fields=all")["tasks"]
    first, second = sorted(task["id"] for task in tasks)

    submitted = {"result": regions(), "lead_time": 10.5}
    annotation = call("POST", f"/api/tasks/{first}/annotations/", submitted)["id"]
    bodies = {"submit": recorder.take("ANNOTATION_CREATED")}
    call("POST", f"/api/tasks/{second}/annotations/", {"result": [], "was_cancelled": True})
    bodies["skip"] = recorder.take("ANNOTATION_CREATED")
    call("PATCH", f"/api/annotations/{annotation}/", {"result": regions()[:2], "lead_time": 12.0})
    bodies["update"] = recorder.take("ANNOTATION_UPDATED")
    (bodies["export"],) = [
        task
        for task in call("GET", f"/api/projects/{project}/export?exportType=JSON")
        if task["id"] == first
    ]
    call("DELETE", f"/api/annotations/{annotation}/")
    bodies["delete"] = recorder.take("ANNOTATIONS_DELETED")
    call("POST", f"/api/ml/{model['id']}/train", {})
    bodies["train"] = recorder.take("START_TRAINING")
    return bodies


def main(print_line: Callable[[str], None] = print) -> int:
    recorder = Recorder()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remask-")))
        port = choose_port(None, preferred=8080, option="")
        stack.enter_context(
            start_label_studio(
                find_label_studio(None),
                port=port,
                data_dir=folder / "data",
                files_root=folder,
                account=ACCOUNT,
            )
        )
        backend = stack.enter_context(listening(recorder))
        session = stack.enter_context(log_in(f"http://{HOST}:{port}", ACCOUNT))
        bodies = record(session, recorder, backend)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, body in bodies.items():
        project = body.get("project")
        if isinstance(project, dict):
            project["token"] = ""  # by which people are invited
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(body, indent=1) + "\n")
        print_line(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
