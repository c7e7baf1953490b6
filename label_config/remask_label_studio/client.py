"""Label Studio's API, as far as remask uses it: projects, tasks, predictions and the backend."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from label_studio_sdk import LabelStudio, NotFoundError, PredictionRequest
from label_studio_sdk.core import ApiError

from remask_core.errors import InputError, NotFound, RemaskError, Unavailable

__all__ = ["BackendAddress", "Connection", "ImportedPrediction", "ProjectRef", "connect"]


# Registering a backend and importing tasks take seconds.
TIMEOUT_S = 60.0


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


@dataclass(frozen=True, slots=True)
class Connection:
    """A Label Studio that has been reached with a working key.

    Every method raises `InputError` when Label Studio refuses what it was given, `NotFound` when
    the named thing does not exist, and `Unavailable` when Label Studio does not answer.
    """

    url: str
    client: LabelStudio

    def projects_titled(self, title: str) -> list[int]:
        """Return the ids of the projects with exactly this title, oldest first."""
        with _translated(self.url):
            # The server matches parts of titles; the pager reads page after page.
            found: Iterable[Any] = self.client.projects.list(title=title)
            return sorted(int(project.id) for project in found if project.title == title)

    def projects_beginning(self, title: str) -> list[ProjectRef]:
        """Return the projects whose titles begin with `title`, oldest first."""
        with _translated(self.url):
            found: Iterable[Any] = self.client.projects.list(title=title)
            projects = [
                ProjectRef(
                    id=int(one.id),
                    title=one.title,
                    description=one.description or "",
                    model_version=one.model_version or None,
                    created_at=one.created_at.timestamp(),
                )
                for one in found
                if one.title is not None and one.title.startswith(title)
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
        """Return the id of a new project whose tasks open with their predictions copied in.

        Args:
            title: Shown in the list of projects.
            label_config: XML.
            instructions: For annotators.
            description: Shown below the title.
            maximum_annotations: How many people are asked about the same task.
        """
        with _translated(self.url):
            project = self.client.projects.create(
                title=title,
                label_config=label_config,
                description=description,
                expert_instruction=instructions,
                maximum_annotations=maximum_annotations,
                show_instruction=False,
                show_collab_predictions=True,
                sampling="Sequential sampling",
            )
        assert project.id is not None
        return project.id

    def rename_project(self, project_id: int, title: str) -> None:
        """Give the project another title."""
        with _translated(self.url):
            self.client.projects.update(id=project_id, title=title)

    def describe_project(self, project_id: int, description: str) -> None:
        """Give the project another description."""
        with _translated(self.url):
            self.client.projects.update(id=project_id, description=description)

    def delete_project(self, project_id: int) -> None:
        """Delete the project with its tasks and annotations."""
        with _translated(self.url):
            self.client.projects.delete(id=project_id)

    def label_config(self, project_id: int) -> str:
        """Return the labelling config of the project as XML."""
        with _translated(self.url):
            return self.client.projects.get(id=project_id).label_config or ""

    def serve_folder(self, project_id: int, folder: Path) -> None:
        """Let Label Studio serve the files of a folder under its local files' root."""
        with _translated(self.url):
            self.client.import_storage.local.create(
                project=project_id, path=str(folder), use_blob_urls=True, title=folder.name
            )

    def import_tasks(self, project_id: int, data: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids of new tasks with these data, in their order."""
        return self.import_whole_tasks(project_id, [{"data": item} for item in data])

    def import_whole_tasks(self, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the ids of new tasks with their annotations or predictions, in their order.

        Args:
            project_id: Of the project.
            tasks: In Label Studio's form: `data`, and `annotations` or `predictions`.
        """
        # Written here, because the SDK copies masks number by number, at 10 ms each, and sends what
        # fails once more, when Label Studio may have taken it already.
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
        """Return the addresses of files, given with their names, that Label Studio now keeps.

        They are gone when the project is. Label Studio takes at most 100 files at a time.
        """
        parts: dict[str, Any] = {f"file{n}": file for n, file in enumerate(files)}
        # The SDK has no call that sends files.
        answer = self._import(project_id, params={"commit_to_project": "false"}, files=parts)
        wanted: list[int] = answer["file_upload_ids"]
        with _translated(self.url):
            paths = {
                upload.id: upload.file
                for upload in self.client.files.list(id=project_id, ids=str(wanted))
            }
        return [f"/data/{paths[number]}" for number in wanted]

    def _import(self, project_id: int, **request: Any) -> dict[str, Any]:
        """Return what Label Studio says to an import that is sent as it stands, once."""
        with _translated(self.url):
            answer = self.client._client_wrapper.httpx_client.request(
                f"api/projects/{project_id}/import",
                method="POST",
                request_options={"max_retries": 0},
                **request,
            )
            if not answer.is_success:
                raise ApiError(status_code=answer.status_code, body=_body(answer))
            said: dict[str, Any] = answer.json()
        return said

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
            PredictionRequest(
                task=prediction.task_id,
                result=[dict(region) for region in prediction.result],
                score=prediction.score,
                model_version=prediction.model_version,
            )
            for prediction in predictions
        ]
        with _translated(self.url):
            answer = self.client.projects.import_predictions(id=project_id, request=request)
            if answer.created != len(request):
                raise InputError(
                    f"`predictions` must fit the labelling config of project {project_id}; "
                    f"Label Studio kept {answer.created} of {len(request)}"
                )
            self.client.projects.update(id=project_id, model_version=versions.pop())

    def add_backend(self, project_id: int, backend: BackendAddress) -> int:
        """Return the id of the backend that now answers the project's clicks and boxes.

        A backend of the same title that the project already has is replaced. Label Studio
        registers a webhook along with it and leaves the credentials out, so they are given here;
        without them no submitted annotation would reach the click log.
        """
        auth: dict[str, Any] = {}
        if backend.user is not None:
            auth = {
                "auth_method": "BASIC_AUTH",
                "basic_auth_user": backend.user,
                "basic_auth_pass": backend.password,
            }
        with _translated(self.url):
            for old in self.client.ml.list(project=project_id):
                if old.title == backend.title and old.id is not None:
                    self.client.ml.delete(id=old.id)
            created: Any = self.client.ml.create(
                project=project_id,
                url=backend.url,
                title=backend.title,
                is_interactive=True,
                **auth,
            )
            if backend.user is not None:
                headers = {"Authorization": _basic(backend.user, backend.password or "")}
                for hook in self.client.webhooks.list(project=str(project_id)):
                    if hook.url == f"{backend.url}/webhook" and hook.id is not None:
                        self.client.webhooks.update(hook.id, headers=headers)
        return int(created.id)

    def users(self) -> dict[str, int]:
        """Return the id of every user by e-mail address."""
        with _translated(self.url):
            return {str(user.email): int(user.id) for user in self.client.users.list()}

    def add_user(self, address: str, *, name: str) -> int:
        """Return the id of a new user, who has no password and so cannot log in."""
        with _translated(self.url):
            user = self.client.users.create(username=address, email=address, first_name=name)
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
        with _translated(self.url):
            made = self.client.annotations.create(
                id=task_id,
                result=[dict(region) for region in result],
                was_cancelled=skipped,
                lead_time=lead_time_s,
                completed_by=user,
            )
        return int(made.id)

    def add_webhook(self, project_id: int, backend: BackendAddress) -> None:
        """Have the backend told of the project's annotations, and of nothing else.

        `add_backend` does this along the way. A webhook to the same address is left as it is.
        """
        url = f"{backend.url}/webhook"
        headers = {}
        if backend.user is not None:
            headers["Authorization"] = _basic(backend.user, backend.password or "")
        with _translated(self.url):
            if any(hook.url == url for hook in self.client.webhooks.list(project=str(project_id))):
                return
            self.client.webhooks.create(
                url=url,
                project=project_id,
                headers=headers,
                send_payload=True,
                send_for_all_actions=False,
                actions=["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"],
            )

    def show_model_version(self, project_id: int, model_version: str) -> None:
        """Have the tasks open with the predictions of this version copied in."""
        with _translated(self.url):
            self.client.projects.update(id=project_id, model_version=model_version)

    def delete_task(self, task_id: int) -> None:
        """Delete a task with its annotations; one that is gone already is no error."""
        with _translated(self.url), suppress(NotFoundError):
            self.client.tasks.delete(id=str(task_id))

    def export_tasks(self, project_id: int) -> list[dict[str, Any]]:
        """Return every task of the project with its annotations, as Label Studio exports them."""
        with _translated(self.url):
            exported: list[dict[str, Any]] = self.client.projects.exports.as_json(project_id)
        return sorted(exported, key=lambda task: int(task["id"]))

    def task_data(
        self, project_id: int, *, page_size: int = 500
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield id and data of each of the project's tasks, in the order of the ids."""
        with _translated(self.url):
            found: Iterable[Any] = self.client.tasks.list(
                project=project_id, page_size=page_size, fields="task_only", resolve_uri=False
            )
            for task in found:
                yield int(task.id), task.data

    def task_page(
        self, project_id: int, *, page: int, page_size: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Return one page of the project's tasks with their annotations, and how many tasks it has.

        Pages count from 1; the order is that of the task ids.
        """
        with _translated(self.url):
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


@contextmanager
def connect(url: str, api_key: str) -> Iterator[Connection]:
    """Give a connection, after Label Studio has accepted the key; closed at the end.

    Args:
        url: Of Label Studio, without a path.
        api_key: A personal access token, or a legacy token where the organisation allows these.

    Raises:
        InputError: The key is refused.
        Unavailable: Nothing answers at `url`.
    """
    # The SDK never closes a transport of its own.
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as transport:
        with _translated(url):
            client = LabelStudio(base_url=url, api_key=api_key, httpx_client=transport)  # type: ignore[no-untyped-call]
            client.users.whoami()
        yield Connection(url.rstrip("/"), client)


def _basic(user: str, password: str) -> str:
    """Return the value of the header that basic authentication sends."""
    coded = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return f"Basic {coded}"


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except ApiError as error:
        raise _our_error(url, error) from error
    except httpx.HTTPError as error:
        raise Unavailable(f"Label Studio at {url} does not answer: {error}") from error


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text


def _our_error(url: str, error: ApiError) -> RemaskError:
    body = error.body
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    said = f"Label Studio at {url} answered {error.status_code}: {str(body)[:500]}"
    if error.status_code in (401, 403):
        return InputError(f"`api_key` must be accepted by Label Studio. {said}")
    if error.status_code == 404:
        return NotFound(said)
    if error.status_code is not None and error.status_code < 500:
        return InputError(said)
    return Unavailable(said)
