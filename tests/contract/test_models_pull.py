"""Pulling weights from a server that answers as the Hugging Face Hub does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from http_site import Site, open_site
from typer.testing import CliRunner

from remask_cli.main import app
from remask_core.errors import InputError, Unavailable
from remask_models import pull as pull_module
from remask_models.hub import read_source
from remask_models.pull import pull

CONTENT = bytes(range(256)) * 4_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c0ffee" * 6 + "c0ff"
NAME = "sam2.1_hiera_tiny"
REPOSITORY = "facebook/sam2.1-hiera-tiny"


class Hub:
    """The Hub: a HEAD declares the file and redirects to the store, which has the content."""

    def __init__(self, site: Site, store: Site, repository: str = REPOSITORY) -> None:
        self.site, self.store = site, store
        self.declared = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{SHA256}"',
            "X-Linked-Size": str(len(CONTENT)),
        }
        self.content = CONTENT
        self.cut_at: int | None = None
        self.wanted_token: str | None = None
        for revision in ("main", COMMIT):
            path = f"/{repository}/resolve/{revision}/model.safetensors"
            site.pages[path] = self.redirect
        store.pages["/blob"] = self.blob

    def redirect(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.headers.get("Authorization")
        if self.wanted_token is not None and sent != f"Bearer {self.wanted_token}":
            handler.send_error(401)
            return
        handler.send_response(302)
        for key, value in self.declared.items():
            handler.send_header(key, value)
        handler.send_header("Location", f"{self.store.url}/blob")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def blob(self, handler: BaseHTTPRequestHandler) -> None:
        start = 0
        wanted = handler.headers.get("Range")
        if wanted is None:
            handler.send_response(200)
        else:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            handler.send_response(206)
            end = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        handler.wfile.write(self.content[start : self.cut_at])
        handler.close_connection = True

    def asked(self) -> list[str]:
        return [path for path, _ in self.site.asked + self.store.asked]


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    with open_site() as site, open_site() as store:
        yield site, store


@pytest.fixture
def hub(sites: tuple[Site, Site]) -> Hub:
    return Hub(*sites)


def pulled(hub: Hub, folder: Path, name: str = NAME, **options: object) -> Path:
    return pull(name, folder, progress=lambda *_: None, hub_url=hub.site.url, **options)  # type: ignore[arg-type]


def test_a_file_is_taken_from_the_commit_that_was_declared(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    path = pull(NAME, tmp_path, progress=lambda *at: seen.append(at), hub_url=hub.site.url)

    assert path == tmp_path / f"{NAME}.safetensors"
    assert path.read_bytes() == CONTENT
    assert (len(CONTENT), len(CONTENT)) == seen[-1]
    assert f"/{REPOSITORY}/resolve/{COMMIT}/model.safetensors" in hub.asked()
    source = read_source(path)
    assert source is not None
    assert (REPOSITORY, COMMIT, SHA256) == (source.repository, source.revision, source.sha256)
    assert {path.name, f"{path.name}.source.json"} == {p.name for p in tmp_path.iterdir()}


def test_a_pulled_file_is_not_asked_for_again(hub: Hub, tmp_path: Path) -> None:
    first = pulled(hub, tmp_path)
    asked = len(hub.asked())

    assert first == pulled(hub, tmp_path)
    assert asked == len(hub.asked())


def test_a_cut_pull_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.cut_at = 300_000
    with pytest.raises(Unavailable, match="could not be fetched"):
        pulled(hub, tmp_path)
    here = (tmp_path / f"{NAME}.safetensors.{SHA256[:12]}.part").stat().st_size
    hub.cut_at = None

    assert pulled(hub, tmp_path).read_bytes() == CONTENT
    assert 0 < here <= 300_000
    assert f"bytes={here}-" in [headers.get("Range") for _, headers in hub.store.asked]


def test_other_content_than_declared_is_removed(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[::-1]

    with pytest.raises(Unavailable, match="must have SHA-256"):
        pulled(hub, tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["X-Linked-Etag", "X-Repo-Commit", "X-Linked-Size"])
def test_a_server_that_declares_nothing_is_not_trusted(
    missing: str, hub: Hub, tmp_path: Path
) -> None:
    hub.declared.pop(missing)

    with pytest.raises(Unavailable, match=f"must declare .*{missing}.*nothing was fetched"):
        pulled(hub, tmp_path)

    assert hub.store.asked == []


def test_a_renamed_repository_is_followed(sites: tuple[Site, Site], tmp_path: Path) -> None:
    site, store = sites
    hub = Hub(site, store, "meta/new-name")
    for revision in ("main", COMMIT):
        old = f"/{REPOSITORY}/resolve/{revision}/model.safetensors"
        new = f"/meta/new-name/resolve/{revision}/model.safetensors"
        site.serve(old, b"", 307, Location=new)

    assert pulled(hub, tmp_path).read_bytes() == CONTENT


def test_redirects_without_end_are_given_up(hub: Hub, tmp_path: Path) -> None:
    path = f"/{REPOSITORY}/resolve/main/model.safetensors"
    hub.site.serve(path, b"", 307, Location=path)

    with pytest.raises(Unavailable, match="TooManyRedirects"):
        pulled(hub, tmp_path)


def test_a_missing_file_is_said(hub: Hub, tmp_path: Path) -> None:
    hub.site.pages.clear()

    with pytest.raises(Unavailable, match="answered 404"):
        pulled(hub, tmp_path)


def test_sam_3_needs_its_terms_accepted(sites: tuple[Site, Site], tmp_path: Path) -> None:
    hub = Hub(*sites, "facebook/sam3")

    with pytest.raises(InputError, match=r"SAM License.*--accept-licence"):
        pulled(hub, tmp_path, "sam3_tracker")

    assert hub.asked() == []
    assert pulled(hub, tmp_path, "sam3_tracker", accept_licence=True).read_bytes() == CONTENT


def test_access_on_request_needs_a_token_that_the_store_never_sees(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    hub = Hub(*sites, "facebook/sam3")
    hub.wanted_token = "mine"

    with pytest.raises(InputError, match=r"answered 401.*HF_TOKEN"):
        pulled(hub, tmp_path, "sam3_tracker", accept_licence=True)
    pulled(hub, tmp_path, "sam3_tracker", accept_licence=True, token="mine")

    assert all("Authorization" not in headers for _, headers in hub.store.asked)


def test_a_file_put_there_by_hand_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.safetensors").write_bytes(b"mine")

    with pytest.raises(InputError, match="is not the published"):
        pulled(hub, tmp_path)

    assert (tmp_path / f"{NAME}.safetensors").read_bytes() == b"mine"


def test_the_right_file_put_there_by_hand_is_kept(hub: Hub, tmp_path: Path) -> None:
    """Or by a pull that was killed before it wrote its record."""
    (tmp_path / f"{NAME}.safetensors").write_bytes(CONTENT)

    path = pulled(hub, tmp_path)

    assert read_source(path) is not None
    assert hub.store.asked == []


def test_a_pulled_file_that_changed_is_told(hub: Hub, tmp_path: Path) -> None:
    pulled(hub, tmp_path).write_bytes(b"changed")

    with pytest.raises(InputError, match="must be the file that was pulled"):
        pulled(hub, tmp_path)


def test_a_model_without_weights_is_answered_with_those_that_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sam_vit_b.*sam3_tracker.*got 'grabcut'"):
        pull("grabcut", tmp_path, progress=lambda *_: None)


def test_the_command_shows_the_terms_and_verifies(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pull.__kwdefaults__, "hub_url", hub.site.url)
    folder = ["--model-dir", str(tmp_path)]
    run = CliRunner().invoke

    done = run(app, ["models", "pull", NAME, *folder, "--json"])
    listed = run(app, ["models", "list", *folder, "--json"])
    checked = run(app, ["models", "verify", str(tmp_path / f"{NAME}.safetensors")])
    foreign = run(
        app, ["models", "verify", "--model", "edgetam", str(tmp_path / f"{NAME}.safetensors")]
    )

    assert "Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0)" in done.stderr
    assert json.loads(done.stdout)["path"] == str(tmp_path / f"{NAME}.safetensors")
    row = next(row for row in json.loads(listed.stdout) if row["name"] == NAME)
    assert (row["state"], row["revision"]) == ("verified", COMMIT)
    assert f"pulled from {REPOSITORY} at {COMMIT}" in checked.stdout
    assert isinstance(foreign.exception, InputError)
    assert pull_module.HUB_URL == "https://huggingface.co"
