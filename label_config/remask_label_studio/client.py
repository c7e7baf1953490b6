"""Label Studio's API through its SDK: projects, tasks, predictions, backends and people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from label_studio_sdk import LabelStudio, NotFoundError
from label_studio_sdk.core import ApiError

from remask_core.errors import InputError, Unavailable
from remask_label_studio.api import BackendAddress, ImportedPrediction, ProjectRef
from remask_label_studio.backends import add_backend, add_webhook, move_webhooks
from remask_label_studio.sdk_errors import ONCE, translate_errors

__all__ = ["Connection", "connect"]

# Registering a backend and importing tasks take seconds.
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A `LabelStudioApi` over a Label Studio that has accepted the token; `connect` makes one.

    The methods that campaigns do not need raise the same errors as those that they do.
    """

    url: str
    client: LabelStudio

    def projects_titled(self, title: str) -> list[int]:
        """Return the ids of the projects with exactly this title, oldest first."""
        with translate_errors(self.url):
            # The server matches parts of titles; the pager reads page after page.
            found: Iterable[Any] = self.client.projects.list(title=title)
            return sorted(int(project.id) for project in found if project.title == title)

    def projects_beginning(self, title: str) -> list[ProjectRef]:
        """Return the projects whose titles begin with `title`, oldest first."""
        with translate_errors(self.url):
            found: Iterable[Any] = self.client.projects.list(title=title)
            projects = [
                ProjectRef(
                    id=int(project.id),
                    title=project.title,
                    description=project.description or "",
                    model_version=project.model_version or None,
                    created_at=project.created_at.timestamp(),
                )
                for project in found
                if project.title is not None and project.title.startswith(title)
            ]
        return sorted(projects, key=lambda project: project.id)

    def create_project(
        self,
        title: str,
        *,
        label_config: str,
        instructions: str = "",
        description: str = "",
        maximum_annotations: int = 1,
    ) -> int:
        """Return the id of a new project whose tasks open with their predictions copied in."""
        with translate_errors(self.url):
            project = self.client.projects.create(
                title=title,
                label_config=label_config,
                description=description,
                expert_instruction=instructions,
                maximum_annotations=maximum_annotations,
                show_instruction=False,
                show_collab_predictions=True,
                sampling="Sequential sampling",
                request_options=ONCE,
            )
        assert project.id is not None
        return project.id

    def rename_project(self, project_id: int, title: str) -> None:
        """Give the project another title."""
        with translate_errors(self.url):
            self.client.projects.update(id=project_id, title=title)

    def describe_project(self, project_id: int, description: str) -> None:
        """Give the project another description."""
        with translate_errors(self.url):
            self.client.projects.update(id=project_id, description=description)

    def delete_project(self, project_id: int) -> None:
        """Delete the project with its tasks and annotations."""
        with translate_errors(self.url):
            self.client.projects.delete(id=project_id)

    def label_config(self, project_id: int) -> str:
        """Return the labelling config of the project as XML."""
        with translate_errors(self.url):
            return self.client.projects.get(id=project_id).label_config or ""

    def serve_folder(self, project_id: int, folder: Path) -> None:
        """Let Label Studio serve the files of a folder under its local files' root."""
        with translate_errors(self.url):
            self.client.import_storage.local.create(
                project=project_id, path=str(folder), use_blob_urls=True, title=folder.name
            )

    def import_tasks(self, project_id: int, data: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids of new tasks with these data, in their order."""
        return self.import_whole_tasks(project_id, [{"data": item} for item in data])

    def import_whole_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids of new tasks with their annotations or predictions, in their order."""
        # Written here, because the SDK copies masks number by number, at 10 ms each.
        answer = self._import(
            project_id,
            params={"return_task_ids": "true"},
            content=msgspec.json.encode(tasks),
            headers={"Content-Type": "application/json"},
        )
        task_ids: list[int] = answer.get("task_ids", [])
        if len(task_ids) != len(tasks):
            raise Unavailable(f"Label Studio imported {len(task_ids)} of {len(tasks)} tasks")
        return task_ids

    def upload_files(self, project_id: int, files: Sequence[tuple[str, bytes]]) -> list[str]:
        """Return the addresses of files, given with their names, that Label Studio now keeps."""
        parts: dict[str, Any] = {f"file{n}": file for n, file in enumerate(files)}
        # The SDK has no call that sends files.
        answer = self._import(project_id, params={"commit_to_project": "false"}, files=parts)
        wanted: list[int] = answer["file_upload_ids"]
        with translate_errors(self.url):
            paths = {
                upload.id: upload.file
                for upload in self.client.files.list(id=project_id, ids=str(wanted))
            }
        return [f"/data/{paths[number]}" for number in wanted]

    def _import(self, project_id: int, what: str = "", **request: Any) -> dict[str, Any]:
        """Return what Label Studio answers to an import that is sent as it stands, once."""
        with translate_errors(self.url):
            answer = self.client._client_wrapper.httpx_client.request(
                f"api/projects/{project_id}/import{what}",
                method="POST",
                request_options=ONCE,
                **request,
            )
            if not answer.is_success:
                raise ApiError(status_code=answer.status_code, body=_body(answer))
            imported: dict[str, Any] = answer.json()
        return imported

    def import_predictions(
        self, project_id: int, predictions: Sequence[ImportedPrediction]
    ) -> None:
        """Store predictions and make their model version the one that annotators start from.

        Call it before `add_backend`: a project without a model version takes the backend's title
        for one, and then asks the backend for a prediction whenever a task is opened.

        Raises:
            InputError: There are none, they name several model versions, or Label Studio dropped
                some of them (it says nothing when a region does not fit the labelling config).
        """
        versions = {prediction.model_version for prediction in predictions}
        if len(versions) != 1:
            raise InputError(f"`predictions` must be of one model version; got {sorted(versions)}")
        request = [
            {
                "task": prediction.task_id,
                "result": list(prediction.result),
                "score": prediction.score,
                "model_version": prediction.model_version,
            }
            for prediction in predictions
        ]
        # Written here, because the SDK copies masks number by number, at 10 ms each.
        answer = self._import(
            project_id,
            "/predictions",
            content=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
        )
        if answer.get("created") != len(request):
            raise InputError(
                f"`predictions` must fit the labelling config of project {project_id}; "
                f"Label Studio kept {answer.get('created')} of {len(request)}"
            )
        with translate_errors(self.url):
            self.client.projects.update(id=project_id, model_version=versions.pop())

    def add_backend(self, project_id: int, backend: BackendAddress) -> int:
        """Return the id of the backend that now answers the project's clicks and boxes."""
        with translate_errors(self.url):
            return add_backend(self.client, project_id, backend)

    def move_webhooks(self, backend: BackendAddress) -> int:
        """Return how many webhooks to an earlier address of the backend lead to this one now."""
        with translate_errors(self.url):
            return move_webhooks(self.client, backend)

    def add_webhook(self, project_id: int, backend: BackendAddress) -> None:
        """Have the backend told of the project's annotations, and of nothing else."""
        with translate_errors(self.url):
            add_webhook(self.client, project_id, backend)

    def users(self) -> dict[str, int]:
        """Return the id of every user by e-mail address."""
        with translate_errors(self.url):
            return {str(user.email): int(user.id) for user in self.client.users.list()}

    def add_user(self, address: str, *, name: str) -> int:
        """Return the id of a new user, who has no password and so cannot log in."""
        with translate_errors(self.url):
            user = self.client.users.create(
                username=address, email=address, first_name=name, request_options=ONCE
            )
        return int(user.id)

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
        with translate_errors(self.url):
            made = self.client.annotations.create(
                id=task_id,
                result=[dict(region) for region in result],
                was_cancelled=skipped,
                lead_time=lead_time_s,
                completed_by=user,
                request_options=ONCE,
            )
        return int(made.id)

    def show_model_version(self, project_id: int, model_version: str) -> None:
        """Have the tasks open with the predictions of this version copied in."""
        with translate_errors(self.url):
            self.client.projects.update(id=project_id, model_version=model_version)

    def model_version(self, project_id: int) -> str:
        """Return the version whose predictions the tasks open with; empty where none is set."""
        with translate_errors(self.url):
            return self.client.projects.get(id=project_id).model_version or ""

    def change_task_data(self, task_id: int, data: Mapping[str, Any]) -> None:
        """Give a task other data."""
        with translate_errors(self.url):
            self.client.tasks.update(id=str(task_id), data=dict(data))

    def change_score(self, prediction_id: int, score: float | None) -> None:
        """Give a prediction another score."""
        with translate_errors(self.url):
            self.client.predictions.update(id=prediction_id, score=score)

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete a prediction; one that is gone already is no error."""
        with translate_errors(self.url), suppress(NotFoundError):
            self.client.predictions.delete(id=prediction_id)

    def put_tab(self, project_id: int, tab: Mapping[str, Any]) -> None:
        """Give the project's Data Manager a tab; one of the same title is replaced.

        Args:
            project_id: Of the project.
            tab: The view's data, with `title`, in Label Studio's form.
        """
        self.delete_tab(project_id, str(tab["title"]))
        with translate_errors(self.url):
            self.client.views.create(project=project_id, data=dict(tab), request_options=ONCE)

    def delete_tab(self, project_id: int, title: str) -> None:
        """Delete the Data Manager's tabs of this title; there may be none."""
        with translate_errors(self.url):
            for view in self.client.views.list(project=project_id):
                if isinstance(view.data, dict) and view.data.get("title") == title:
                    self.client.views.delete(id=str(view.id))

    def delete_task(self, task_id: int) -> None:
        """Delete a task with its annotations; one that is gone already is no error."""
        with translate_errors(self.url), suppress(NotFoundError):
            self.client.tasks.delete(id=str(task_id))

    def export_tasks(self, project_id: int) -> list[dict[str, Any]]:
        """Return every task of the project with its annotations, as Label Studio exports them."""
        with translate_errors(self.url):
            exported: list[dict[str, Any]] = self.client.projects.exports.as_json(project_id)
        return sorted(exported, key=lambda task: int(task["id"]))

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and data of each of the project's tasks, in the order of the ids."""
        with translate_errors(self.url):
            found: Iterable[Any] = self.client.tasks.list(
                project=project_id, page_size=page_size, fields="task_only", resolve_uri=False
            )
            for task in found:
                yield int(task.id), task.data

    def annotated_tasks(self, project_id: int) -> set[int]:
        """Return the ids of the tasks that have an annotation, one that was skipped included."""
        both = ("total_annotations", "cancelled_annotations")
        return set().union(
            *(self._tasks_where(project_id, column, "greater", "Number", 0) for column in both)
        )

    def predicted_tasks(self, project_id: int, model_version: str) -> set[int]:
        """Return the ids of the tasks that have a prediction of this model version."""
        column = "predictions_model_versions"
        return self._tasks_where(project_id, column, "contains", "List", [model_version])

    def _tasks_where(
        self, project_id: int, column: str, operator: str, kind: str, value: object
    ) -> set[int]:
        item = {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind}
        filters = {"conjunction": "and", "items": [{**item, "value": value}]}
        with translate_errors(self.url):
            found: Iterable[Any] = self.client.tasks.list(
                project=project_id,
                page_size=500,
                fields="task_only",
                resolve_uri=False,
                query=msgspec.json.encode({"filters": filters}).decode(),
            )
            return {int(task.id) for task in found}

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of tasks with their annotations, and how many tasks there are."""
        with translate_errors(self.url):
            pager: Any = self.client.tasks.list(
                project=project_id,
                page=page,
                page_size=page_size,
                fields="all",
                # Addresses as they were given: those that Label Studio makes of them expire.
                resolve_uri=False,
            )
        tasks: list[Any] = list(pager.items or [])
        return [task.model_dump(mode="json") for task in tasks], int(pager.response.total)

    def task_states(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of tasks without their annotations, and how many tasks there are."""
        with translate_errors(self.url):
            pager: Any = self.client.tasks.list(
                project=project_id,
                page=page,
                page_size=page_size,
                fields="task_only",
                resolve_uri=False,
            )
        tasks: list[Any] = list(pager.items or [])
        return [task.model_dump(mode="json") for task in tasks], int(pager.response.total)


@contextmanager
def connect(url: str, api_key: str) -> Iterator[Connection]:
    """Give a connection, after Label Studio has accepted the key; closed at the end.

    Args:
        url: Of Label Studio, without a path.
        api_key: A personal access token, or a legacy token where the organisation allows these.

    Raises:
        InputError: There is no key, or it is refused.
        Unavailable: Nothing answers at `url`.
    """
    if not api_key.strip():
        raise InputError(
            "`api_key` must be an access token of Label Studio; there is none: set "
            "LABEL_STUDIO_API_KEY or give --api-key"
        )
    # The SDK never closes a transport of its own.
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as transport:
        with translate_errors(url):
            client = LabelStudio(base_url=url, api_key=api_key, httpx_client=transport)  # type: ignore[no-untyped-call]
            client.users.whoami()
        yield Connection(url.rstrip("/"), client)


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text
