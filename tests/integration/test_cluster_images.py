"""Images by content from a bucket of a real S3 server, and tasks' images at signed addresses."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cluster_site import cluster_call, run_apart
from fakes import ToySegmenter, click
from http_site import Site, open_site
from ports import free_port
from s3_server import PROGRAM, Bucket, make_bucket, running_s3

from remask_core.errors import BadImage, InputError, NotFound, Unavailable
from remask_images.addresses import AddressRefused
from remask_images.image_source import Images, open_images
from remask_service.logs import make_log
from remask_service.settings import Settings
from remask_worker.calls import Call
from remask_worker.cluster.image_share import ImageShare
from remask_worker.cluster.messages import ClusterCall, ImageWanted, Reply, decode, encode
from remask_worker.cluster.replica import Replica
from remask_worker.cluster.settings import ReplicaSettings
from remask_worker.thread_engine import ThreadEngine
from remask_worker.wire import Answered, Refused, error_of


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    if not PROGRAM.exists():
        pytest.skip(f"needs moto's S3 server at {PROGRAM}: make setup")
    with running_s3() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = make_bucket(s3, f"b-{secrets.token_hex(4)}")
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


def share_of(place: str, *, max_bytes: int = 1 << 20) -> ImageShare:
    return ImageShare(place, max_bytes=max_bytes, environ=os.environ)


def ask(folder: Path, share: ImageShare, call: Call, *, image: bytes | None = None) -> Any:
    """Return what a new replica with this share says of a call."""
    replica = Replica(
        ThreadEngine(ToySegmenter()),
        ReplicaSettings(),
        scratch=folder / secrets.token_hex(4),
        name="a",
        share=share,
    )

    async def work() -> Any:
        bare = msgspec.structs.replace(call, image_path="")
        reply = decode(await replica.answer(encode(ClusterCall(call=bare, image=image))), Reply)
        await asyncio.gather(*replica._writing)
        return error_of(reply.result) if isinstance(reply.result, Refused) else reply.result

    try:
        return run_apart(work())
    finally:
        replica.close()


def test_an_image_sent_to_one_replica_is_found_by_the_next(bucket: Bucket, tmp_path: Path) -> None:
    share = share_of(bucket.url)
    call = cluster_call(tmp_path, 1, click(5))

    assert isinstance(ask(tmp_path, share, call), ImageWanted)
    sent = ask(tmp_path, share, call, image=Path(call.image_path).read_bytes())
    found = ask(tmp_path, share, call)

    assert isinstance(sent, Answered)
    assert isinstance(found, Answered)
    assert sent.answer.mask == found.answer.mask
    assert bucket.keys() == {f"images/{call.image_id}"}


def test_a_folder_that_all_machines_have_serves_as_well(tmp_path: Path) -> None:
    """Such as the image cache of a web host."""
    call = cluster_call(tmp_path, 1, click(5))
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / call.image_id).write_bytes(Path(call.image_path).read_bytes())

    found = ask(tmp_path, share_of(str(folder)), call)

    assert isinstance(found, Answered)


def test_an_object_that_is_not_what_its_name_says_is_asked_for(
    bucket: Bucket, tmp_path: Path
) -> None:
    call, other = cluster_call(tmp_path, 1, click(5)), cluster_call(tmp_path, 2, click(5))
    bucket.put(f"images/{call.image_id}", Path(other.image_path).read_bytes())
    share = share_of(bucket.url)

    assert isinstance(ask(tmp_path, share, call), ImageWanted)


def test_an_object_that_is_too_large_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    call = cluster_call(tmp_path, 1, click(5))
    bucket.put(f"images/{call.image_id}", bytes(2000))

    error = ask(tmp_path, share_of(bucket.url, max_bytes=1000), call)

    assert isinstance(error, BadImage)
    assert "at most 1000 bytes; it has 2000" in str(error)


@pytest.mark.parametrize("gone", ["server", "bucket"])
def test_a_bucket_that_is_gone_costs_no_answer(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    call = cluster_call(tmp_path, 1, click(5))
    if gone == "server":
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    url = bucket.url if gone == "server" else "s3://never-made/images"
    share = share_of(url)

    assert isinstance(ask(tmp_path, share, call), ImageWanted)
    sent = ask(tmp_path, share, call, image=Path(call.image_path).read_bytes())
    assert isinstance(sent, Answered)


@pytest.mark.parametrize("place", ["/does/not/exist", "nonsense://x", "s3://"])
def test_a_place_that_is_none_is_named(place: str) -> None:
    with pytest.raises(InputError, match="`images` must be a folder"):
        share_of(place)


@pytest.fixture
def site() -> Iterator[Site]:
    """Label Studio's part: it redirects to a signed address, as its cloud storages do."""
    with open_site() as site:
        yield site


def images_of(site: Site, folder: Path, *hosts: str) -> Images:
    settings = Settings(label_studio_url=site.url, state_dir=folder, allowed_hosts=hosts)
    client = httpx.Client(follow_redirects=False, trust_env=False)
    return open_images(settings, client=client, log=make_log("CRITICAL"))


def redirect(site: Site, url: str) -> None:
    site.serve("/tasks/7/resolve/", b"", status=303, Location=url)


def test_a_tasks_image_is_read_at_its_signed_address(
    bucket: Bucket, site: Site, tmp_path: Path
) -> None:
    call = cluster_call(tmp_path, 1)
    bucket.put("photos/ä b.png", Path(call.image_path).read_bytes())
    redirect(site, bucket.signed("photos/ä b.png"))

    image = images_of(site, tmp_path / "state", "127.0.0.1").fetch("s3://b/x.png", task_id=7)

    assert image.image_id == call.image_id
    assert "X-Amz-Signature" not in str(site.asked)


def test_errors_of_a_storage_are_told_apart(bucket: Bucket, site: Site, tmp_path: Path) -> None:
    images = images_of(site, tmp_path / "state", "127.0.0.1")
    bucket.put("text.png", b"this is no image")
    for key, kind in (("gone.png", NotFound), ("text.png", BadImage)):
        redirect(site, bucket.signed(key))
        with pytest.raises(kind) as caught:
            images.fetch(f"s3://b/{key}", task_id=7)
        assert "Signature" not in str(caught.value)
    redirect(site, f"http://127.0.0.1:{free_port()}/x.png?X-Amz-Signature=secret")
    with pytest.raises(Unavailable) as unreachable:
        images.fetch("s3://b/y.png", task_id=7)
    assert "secret" not in str(unreachable.value)


def test_a_signed_address_on_a_host_that_is_not_listed_is_refused(
    bucket: Bucket, site: Site, tmp_path: Path
) -> None:
    redirect(site, bucket.signed("x.png"))

    with pytest.raises(AddressRefused, match="on the host 127"):
        images_of(site, tmp_path / "state").fetch("s3://b/x.png", task_id=7)
