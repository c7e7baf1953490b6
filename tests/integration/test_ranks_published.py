"""Ranks in the real Label Studio: sorted by, filtered by, pulled as the docs say, and undone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ls_export import mask_region
from studio import Studio
from typer.testing import CliRunner

from remask_cli.main import app
from remask_label_config.pages.live import write_labelling_config

DOCS = Path(__file__).parents[2] / "docs" / "exports.md"
N = 12


def square(number: int) -> np.ndarray:
    mask = np.zeros((48, 64), np.bool_)
    mask[4 : 8 + number, 4:30] = True
    return mask


@pytest.fixture
def project(studio: Studio) -> Iterator[int]:
    """A project with a mask in each of its tasks."""
    connection = studio.connection
    number = connection.create_project("Ranked", label_config=write_labelling_config(["Cat"]))
    tasks = [
        {
            "data": {"image": f"/data/local-files/?d=images/ranked-{n}.jpg"},
            "annotations": [
                {"result": [mask_region("m", square(n), meta={"instance": f"i{n}", "round": 1})]}
            ],
        }
        for n in range(N)
    ]
    connection.import_whole_tasks(number, tasks)
    yield number
    connection.delete_project(number)


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    """Ranks of all but the first mask; the later, the better."""
    lines = [f"i{n},{0.05 * n + 0.4:.6f},0.1,{N - n}" for n in range(1, N)]
    path = tmp_path / "ranks.csv"
    path.write_text("\n".join(["instance,predicted_iou,uncertainty,rank", *lines]))
    return path


def command(studio: Studio, *arguments: str) -> Any:
    given = ("--url", studio.url, "--api-key", studio.api_key, "--json")
    result = CliRunner().invoke(app, ["rank", "publish", *arguments, *given])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)[0]


def listed(studio: Studio, project: int, **query: Any) -> list[int]:
    """The numbers of the tasks' images, in the Data Manager's order."""
    found = studio.connection.client.tasks.list(project=project, query=json.dumps(query))
    return [int(re.findall(r"ranked-(\d+)", task.data["image"])[0]) for task in found]


def as_it_is(studio: Studio, project: int) -> list[Any]:
    tasks = studio.connection.export_tasks(project)
    return [
        [(task["data"], task["predictions"]) for task in tasks],
        studio.connection.model_version(project),
        studio.connection.client.views.list(project=project),
    ]


def run_docs(language_block: int, project: int) -> str:
    """What a code block of the docs' section prints, with the project's number for theirs."""
    section = DOCS.read_text().split("## Straight from Label Studio")[1].split("\n## ")[0]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[language_block]
    printed: list[str] = []
    names: dict[str, Any] = {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    exec(re.sub(r"\b12\b", str(project), code), names)  # noqa: S102
    if "studio" in names:
        # The SDK never closes a transport of its own.
        names["studio"]._client_wrapper.httpx_client.httpx_client.close()
    return "\n".join(printed)


def test_label_studio_sorts_and_filters_by_published_ranks(
    studio: Studio, project: int, ranks: Path
) -> None:
    done = command(studio, "--project", str(project), "--ranks", str(ranks), "--worst-first")
    by_number = {"columnsDisplayType": {"tasks:data.rank": "Number"}}
    good = {
        "filter": "filter:tasks:data.predicted_iou",
        "operator": "greater",
        "type": "Number",
        "value": 0.8,
    }
    (tab,) = studio.connection.client.views.list(project=project)
    in_tab = [
        task.data.get("rank")
        for task in studio.connection.client.tasks.list(project=project, view=tab.id)
    ]

    assert (done["ranked"], done["changed"]) == (N - 1, N - 1)
    assert listed(studio, project, ordering=["-tasks:predictions_score"])[: N - 1] == list(
        range(N - 1, 0, -1)
    )
    assert listed(studio, project, ordering=["-tasks:data.rank"], **by_number) == [*range(1, N), 0]
    assert listed(
        studio, project, filters={"conjunction": "and", "items": [good]}, ordering=["tasks:id"]
    ) == [9, 10, 11]
    assert in_tab == [*range(N - 1, 0, -1), None]
    again = command(studio, "--project", str(project), "--ranks", str(ranks))
    assert again["changed"] == 0


def test_undoing_brings_the_project_back(studio: Studio, project: int, ranks: Path) -> None:
    before = as_it_is(studio, project)
    command(studio, "--project", str(project), "--ranks", str(ranks), "--worst-first")
    command(studio, "--project", str(project), "--undo")

    assert as_it_is(studio, project) == before


def test_the_docs_own_lines_pull_ranked_masks(
    studio: Studio, project: int, ranks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(studio, "--project", str(project), "--ranks", str(ranks))
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.api_key)
    ours = run_docs(0, project).splitlines()
    by_sdk = run_docs(1, project).splitlines()

    assert ours == [
        f"images/ranked-{n}.jpg Cat {round(0.05 * n + 0.4, 4)} (48, 64)" for n in range(4, N)
    ]
    assert by_sdk == [f"/data/local-files/?d=images/ranked-{n}.jpg {N - n} 1" for n in (11, 10, 9)]
