"""The connection to Label Studio over real HTTP, where replies are lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from http_site import Site, open_site

from remask_core.errors import InputError, Unavailable
from remask_label_studio.api import BackendAddress, ImportedPrediction
from remask_label_studio.client import Connection, connect

WHOAMI = (
    b'{"id": 1, "first_name": "", "last_name": "", "username": "a", "email": "a@example.com",'
    b' "last_activity": "2026-11-21T00:00:00Z", "avatar": null, "initials": "a", "phone": "",'
    b' "active_organization": 1, "allow_newsletters": false, "date_joined":'
    b' "2026-11-21T00:00:00Z"}'
)


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        site.serve("/api/current-user/whoami", WHOAMI, Content_Type="application/json")
        yield site


@pytest.mark.parametrize(
    ("path", "call"),
    [
        (
            "/api/tasks/5/annotations/",
            lambda c: c.annotate(5, result=[], skipped=False, lead_time_s=1.0, user=1),
        ),
        ("/api/projects/", lambda c: c.create_project("t", label_config="<View/>")),
        ("/api/projects/5/import", lambda c: c.import_whole_tasks(5, [{"data": {}}])),
        ("/api/users/", lambda c: c.add_user("b@example.com", name="b")),
        (
            "/api/projects/5/import/predictions",
            lambda c: c.import_predictions(5, [ImportedPrediction(1, [], 0.5, "toy@1")]),
        ),
    ],
)
def test_what_makes_something_is_sent_once_when_the_reply_is_lost(
    path: str, call: Callable[[Connection], object], site: Site
) -> None:
    """A proxy gave up waiting, but Label Studio did what it was asked."""
    site.serve(path, b"bad gateway", status=502)
    with connect(site.url, "token") as connection, pytest.raises(Unavailable, match="502"):
        call(connection)

    assert site.count(path) == 1


@pytest.mark.parametrize(
    ("path", "call"),
    [("/api/webhooks/", Connection.add_webhook), ("/api/ml/", Connection.add_backend)],
)
def test_a_backend_is_registered_once_when_the_reply_is_lost(
    path: str, call: Callable[[Connection, int, BackendAddress], object], site: Site
) -> None:
    posts = 0

    def answer(handler: object) -> None:
        nonlocal posts
        is_post = getattr(handler, "command", "") == "POST"
        posts += is_post
        site.serve("/now", b"[]", status=502 if is_post else 200, Content_Type="application/json")
        site.pages["/now"](handler)  # type: ignore[arg-type]

    site.pages[path] = answer
    with connect(site.url, "token") as connection, pytest.raises(Unavailable):
        call(connection, 5, BackendAddress("http://b:1"))

    assert posts == 1


def test_without_a_token_nobody_is_asked(site: Site) -> None:
    with pytest.raises(InputError, match="LABEL_STUDIO_API_KEY"), connect(site.url, " "):
        pass

    assert site.asked == []
