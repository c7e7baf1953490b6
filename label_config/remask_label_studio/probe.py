"""Label Studio asked link by link: what answers, as whom, and how it sees the backend.

Plain HTTP instead of the SDK: each question is one request, an answer that should not be is shown
as it came, and nothing is tried again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import httpx

from remask_core.errors import InputError, NotFound, Unavailable
from remask_label_studio.tokens import Credentials

__all__ = ["Probe", "TokenKind", "token_kind"]

TokenKind: TypeAlias = Literal["personal access token", "legacy token", "unknown"]


def token_kind(token: str) -> TokenKind:
    """Return what kind of token this is, by its shape."""
    if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token):
        return "personal access token"
    return "legacy token" if re.fullmatch(r"[0-9a-fA-F]{40}", token) else "unknown"


class Probe:
    """Questions to one Label Studio.

    Every method raises `Unavailable` where nothing answers, `InputError` where the token is not
    accepted or not enough (401, 403), `NotFound` on 404, and `Unavailable` on any other failure.

    Args:
        url: Of Label Studio, without a trailing slash.
        token: Either kind; None asks as nobody.
        client: Closed by whoever made it.
    """

    def __init__(self, url: str, token: str | None, *, client: httpx.Client) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._credentials = None if token is None else Credentials(url, token, client=client)

    def version(self) -> str:
        """Return Label Studio's version, such as `1.23.2`; no token is needed."""
        body = self._get("/api/version/", authorised=False)
        if not isinstance(body, dict) or "release" not in body:
            raise Unavailable(
                f"{self._url} answers, but not as Label Studio does: /api/version/ has no `release`"
            )
        return str(body["release"])

    def user(self) -> str:
        """Return the e-mail address of the token's user."""
        return str(self._get("/api/current-user/whoami")["email"])

    def project(self, project: int) -> dict[str, Any]:
        """Return a project's settings, among them `title` and `label_config`."""
        found: dict[str, Any] = self._get(f"/api/projects/{project}/")
        return found

    def backends(self, project: int) -> list[dict[str, Any]]:
        """Return the project's backends, after Label Studio has tried to reach each of them.

        `state` is `CO` where that worked, `DI` where nothing answered, `ER` with `error_message`
        where the answer was an error.
        """
        found: list[dict[str, Any]] = self._get(f"/api/ml/?project={project}")
        return found

    def webhooks(self, project: int | None = None) -> list[dict[str, Any]]:
        """Return webhooks with `url`, `headers` and `is_active`: a project's, or all there are."""
        query = "" if project is None else f"?project={project}"
        found: list[dict[str, Any]] = self._get(f"/api/webhooks/{query}")
        return found

    def set_webhook_headers(self, webhook: int, headers: Mapping[str, str]) -> None:
        """Give a webhook other headers."""
        self._request("PATCH", f"/api/webhooks/{webhook}/", json={"headers": dict(headers)})

    def first_task(self, project: int) -> dict[str, Any] | None:
        """Return id and data of the project's first task; None where it has no task."""
        route = f"/api/tasks/?project={project}&page=1&page_size=1&fields=task_only"
        tasks: list[dict[str, Any]] = self._get(route).get("tasks", [])
        return tasks[0] if tasks else None

    def ask_backend(
        self, backend: int, task: int, prompts: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the regions that a backend answers prompts with, asked as the editor asks.

        Raises:
            Unavailable: Also where Label Studio passed the prompts on and got no regions back.
        """
        body = self._request(
            "POST",
            f"/api/ml/{backend}/interactive-annotating",
            json={"task": task, "context": {"result": [dict(prompt) for prompt in prompts]}},
        )
        if not isinstance(body, dict) or "data" not in body:
            errors = body.get("errors") if isinstance(body, dict) else body
            raise Unavailable(f"Label Studio got no mask from the backend: {str(errors)[:300]}")
        regions: list[dict[str, Any]] = body["data"]["result"]
        return regions

    def _get(self, route: str, *, authorised: bool = True) -> Any:
        return self._request("GET", route, authorised=authorised)

    def _request(
        self, method: str, route: str, *, authorised: bool = True, json: Any = None
    ) -> Any:
        headers = {}
        if authorised and self._credentials is not None:
            headers["Authorization"] = self._credentials.header()
        try:
            answer = self._client.request(method, self._url + route, headers=headers, json=json)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"Label Studio at {self._url} does not answer: {type(error).__name__} {error}"
            ) from error
        if answer.status_code in (401, 403):
            raise InputError(
                f"`api_key` must be accepted by Label Studio at {self._url}; it answered "
                f"{answer.status_code} to {route.partition('?')[0]}: {_said(answer)}"
            )
        if answer.status_code == 404:
            raise NotFound(f"Label Studio has no {route.partition('?')[0]}: {_said(answer)}")
        try:
            return answer.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError) as error:
            raise Unavailable(
                f"Label Studio at {self._url} answered {answer.status_code} to "
                f"{route.partition('?')[0]}, which is not what it should: {_said(answer)}"
            ) from error


def _said(answer: httpx.Response) -> str:
    """Return the reason in an answer, short enough for a line."""
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    if isinstance(body, dict):
        body = body.get("detail") or body
    return " ".join(str(body).split())[:200]
