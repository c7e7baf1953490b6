"""Under `label-studio-ml` the backend answers as the service does: the same tests through both."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.test_protocol_recorded import *  # noqa: F403 - its tests run here once more
from contract.test_protocol_recorded import FULL_HW, RED, recorded
from editor_model import OneImage, Rig
from fakes import ToySegmenter
from ml_base import OldBase, SmallBase, installed

from remask_core.errors import InputError, MissingExtra
from remask_service.logs import make_log
from remask_service.service import Service
from remask_service.settings import Settings
from remask_worker.thread_engine import ThreadEngine


class MlRig(Rig):
    """A rig whose requests go through the package's base class and its way to call a model."""

    def __init__(self, folder: Path, backend: type, engine: ThreadEngine) -> None:
        self.folder, self.backend = folder, backend
        super().__init__(engine, OneImage(folder, shape_hw=FULL_HW, red=RED))

    def restart(self) -> None:
        super().restart()
        log = make_log("CRITICAL", stream=io.StringIO())
        settings = Settings(state_dir=self.folder / "state", model="grabcut")
        self.service = Service(settings, log=log, engine=self.engine, predictor=self.predictor)
        # A class in the place of the process-wide service: every request makes a new object.
        self.backend.service = classmethod(lambda cls: self.service)  # type: ignore[attr-defined]

    def model(self, body: dict[str, Any]) -> Any:
        return self.backend(str(body["project"]).split(".", 1)[0], body["label_config"])

    def post(self, body: dict[str, Any]) -> list[Any]:
        """Do what the package's `/predict` does with a request."""
        body = json.loads(json.dumps(body))
        params = body.get("params") or {}
        context = params.pop("context", {})
        results: list[Any] = self.model(body).predict(body["tasks"], context=context, **params)
        return results


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[MlRig]:
    with installed(SmallBase) as module:
        made = MlRig(tmp_path, module.RemaskBackend, ThreadEngine(ToySegmenter()))
        try:
            yield made
        finally:
            made.service.close()


def test_every_answer_is_the_services_own(rig: MlRig, tmp_path: Path) -> None:
    other = Rig(rig.engine, rig.images)
    for name in sorted(path.stem for path in (Path(__file__).parent / "data").glob("*.json")):
        rig.restart()
        other.restart()
        through, direct = rig.post(recorded(name)), other.post(recorded(name))

        assert without_times(through) == without_times(direct)


def without_times(results: Any) -> Any:
    """Return answers without the moment at which each prompt arrived."""
    if isinstance(results, dict):
        return {key: without_times(value) for key, value in results.items() if key != "t"}
    if isinstance(results, list):
        return [without_times(value) for value in results]
    return results


def test_the_package_is_told_the_model_version(rig: MlRig) -> None:
    assert rig.model(recorded("box")).get("model_version") == ToySegmenter.version


def test_tasks_without_boxes_get_one_empty_prediction_each(rig: MlRig) -> None:
    body = recorded("box")
    task = {"id": 1, "data": body["tasks"][0]["data"]}

    answers = rig.post({**body, "tasks": [task, {**task, "id": 2}], "params": {"context": None}})

    assert [answer["result"] for answer in answers] == [[], []]


def test_an_error_is_a_sentence(rig: MlRig) -> None:
    body = {**recorded("box"), "label_config": "<View></View>"}

    (answer,) = rig.post(body)

    assert answer["result"] == []
    assert "Image" in answer["error"]
    assert rig.service.activity.errors()[0].detail == answer["error"]


def test_a_submitted_annotation_reaches_the_click_log(rig: MlRig) -> None:
    body = recorded("box")
    data = {
        "annotation": {"id": 5, "result": [], "completed_by": 1, "was_cancelled": False},
        "project": {"id": 2},
        "task": {"id": body["tasks"][0]["id"], "data": {}},
    }

    assert rig.model(body).fit("ANNOTATION_CREATED", data, job_id="x") == {"status": "accepted"}
    assert "error" in rig.model(body).fit("ANNOTATION_CREATED", {"annotation": 7})


def test_the_package_is_needed() -> None:
    with pytest.raises(MissingExtra, match="version 2 from its git"), installed(None):
        pass


def test_the_version_of_the_package_index_is_refused() -> None:
    with pytest.raises(InputError, match=r"must be version 2.*1\.0\.9"), installed(OldBase):
        pass
