"""What remask asks of Label Studio, as a protocol, and the nouns that are exchanged with it.

`client.Connection` is the real one. Campaigns take any object with these methods, so that their
tests run against a Label Studio in memory.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = [
    "BackendAddress",
    "ImportedPrediction",
    "LabelStudioApi",
    "ProjectRef",
    "basic_authorization",
]


def basic_authorization(user: str, password: str) -> str:
    """Return the value of the `Authorization` header of basic authentication."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """Where Label Studio reaches a backend, and as whom.

    Attributes:
        url: Without a trailing slash; Label Studio appends `/predict` and the like.
        user: For basic auth; None when the backend asks for none.
        password: The same.
        title: Shown to people in the project's settings.
    """

    url: str
    user: str | None = None
    password: str | None = None
    title: str = "remask"


@dataclass(frozen=True, slots=True)
class ImportedPrediction:
    """One prediction of one task: regions in Label Studio's form, as a backend answers them."""

    task_id: int
    result: Sequence[Mapping[str, Any]]
    score: float
    model_version: str


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """A project, and what people or programs have written about it.

    Attributes:
        id: Label Studio's number; later projects have larger ones.
        title: Not unique.
        description: Empty where there is none.
        model_version: Of the predictions that annotators start from.
        created_at: Unix time in seconds.
    """

    id: int
    title: str
    description: str
    model_version: str | None
    created_at: float


class LabelStudioApi(Protocol):
    """Label Studio, as far as campaigns need it.

    Every method raises `InputError` when Label Studio refuses what it was given, `NotFound` when
    the named thing does not exist, and `Unavailable` when Label Studio does not answer.
    """

    @property
    def url(self) -> str:
        """Label Studio's address, without a trailing slash."""
        ...

    # Projects

    def projects_titled(self, title: str) -> list[int]:
        """Return the ids of the projects with exactly this title, oldest first."""
        ...

    def projects_beginning(self, title: str) -> list[ProjectRef]:
        """Return the projects whose titles begin with `title`, oldest first."""
        ...

    def create_project(
        self,
        title: str,
        *,
        label_config: str,
        instructions: str = "",
        description: str = "",
        maximum_annotations: int = 1,
    ) -> int:
        """Return the id of a new project whose tasks open with their predictions copied in.

        Args:
            title: Shown in the list of projects.
            label_config: XML.
            instructions: For annotators.
            description: Shown below the title.
            maximum_annotations: How many people are asked about the same task.
        """
        ...

    def describe_project(self, project_id: int, description: str) -> None:
        """Give the project another description."""
        ...

    def delete_project(self, project_id: int) -> None:
        """Delete the project with its tasks and annotations."""
        ...

    def label_config(self, project_id: int) -> str:
        """Return the labelling config of the project as XML."""
        ...

    def serve_folder(self, project_id: int, folder: Path) -> None:
        """Let Label Studio serve the files of a folder under its local files' root."""
        ...

    def show_model_version(self, project_id: int, model_version: str) -> None:
        """Have the tasks open with the predictions of this version copied in."""
        ...

    def add_backend(self, project_id: int, backend: BackendAddress) -> int:
        """Return the id of the backend that now answers the project's clicks and boxes.

        A backend of the same title that the project already has is replaced.
        """
        ...

    def add_webhook(self, project_id: int, backend: BackendAddress) -> None:
        """Have the backend told of the project's annotations, and of nothing else.

        `add_backend` does this along the way. A webhook to the same address is left as it is.
        """
        ...

    # Tasks

    def import_whole_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids of new tasks with their annotations or predictions, in their order.

        Args:
            project_id: Of the project.
            tasks: In Label Studio's form: `data`, and `annotations` or `predictions`.
        """
        ...

    def upload_files(self, project_id: int, files: Sequence[tuple[str, bytes]]) -> list[str]:
        """Return the addresses of files, given with their names, that Label Studio now keeps.

        They are gone when the project is. Label Studio takes at most 100 files at a time.
        """
        ...

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and data of each of the project's tasks, in the order of the ids."""
        ...

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return one page of the project's tasks with their annotations, and how many tasks it has.

        Pages count from 1; the order is that of the task ids.
        """
        ...

    def task_states(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page as `task_page` does, without annotations: much faster for many tasks.

        A task's `updated_at` changes with each change to the task or to its annotations.
        """
        ...

    def change_task_data(self, task_id: int, data: Mapping[str, Any]) -> None:
        """Give a task other data."""
        ...

    def delete_task(self, task_id: int) -> None:
        """Delete a task with its annotations; one that is gone already is no error."""
        ...

    # Predictions, and how the Data Manager shows them

    def model_version(self, project_id: int) -> str:
        """Return the version whose predictions the tasks open with; empty where none is set."""
        ...

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        """Store predictions and make their model version the one that annotators start from."""
        ...

    def change_score(self, prediction_id: int, score: float | None) -> None:
        """Give a prediction another score."""
        ...

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete a prediction; one that is gone already is no error."""
        ...

    def put_tab(self, project_id: int, tab: Mapping[str, Any]) -> None:
        """Give the project's Data Manager a tab; one of the same title is replaced.

        Args:
            project_id: Of the project.
            tab: The view's data, with `title`, in Label Studio's form.
        """
        ...

    def delete_tab(self, project_id: int, title: str) -> None:
        """Delete the Data Manager's tabs of this title; there may be none."""
        ...

    # People and their answers

    def users(self) -> dict[str, int]:
        """Return the id of every user by e-mail address."""
        ...

    def add_user(self, address: str, *, name: str) -> int:
        """Return the id of a new user, who has no password and so cannot log in."""
        ...

    def annotate(
        self,
        task_id: int,
        *,
        result: Sequence[Mapping[str, Any]],
        skipped: bool,
        lead_time_s: float,
        user: int,
    ) -> int:
        """Return the id of a new annotation of `task_id`, submitted or skipped by `user`."""
        ...
