"""The image source against a real HTTP server on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from http_site import Site, open_site
from PIL import Image

from remask_core.errors import BadImage, NotFound, Unavailable
from remask_images.addresses import AddressBook, AddressRefused, HostRules
from remask_images.download import Downloader
from remask_images.image_source import Images
from remask_images.image_store import ImageStore
from remask_label_studio.tokens import Credentials
from remask_service.logs import make_log

PAT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln"
LEGACY = "0123456789abcdef0123456789abcdef01234567"


def picture(
    mode: str = "RGB", size: tuple[int, int] = (8, 6), kind: str = "PNG", **options: object
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Kit:
    images: Images
    clock: Clock
    lines: io.StringIO
    folder: Path


@pytest.fixture
def make(tmp_path: Path, site: Site) -> Iterator[Callable[..., Kit]]:
    client = httpx.Client(follow_redirects=False, trust_env=False, verify=False)

    def build(
        *,
        token: str | None = None,
        allowed: tuple[str, ...] = (),
        root: Path | None = None,
        max_bytes: int = 1 << 20,
        max_image_bytes: int = 100_000,
        max_pixels: int = 10_000,
        timeout_s: float = 5.0,
        resolve: Callable[[str, int], list[str]] | None = None,
    ) -> Kit:
        clock, lines = Clock(), io.StringIO()
        images = Images(
            AddressBook(
                label_studio_url=site.url, local_files_root=root, max_inline_bytes=max_image_bytes
            ),
            Downloader(
                HostRules(site.url, allowed),
                client=client,
                credentials=(token and Credentials(site.url, token, client=client, clock=clock))
                or None,
                timeout_s=timeout_s,
                resolve=resolve,
            ),
            ImageStore(
                tmp_path / "cache",
                max_bytes=max_bytes,
                max_image_bytes=max_image_bytes,
                max_pixels=max_pixels,
                clock=clock,
            ),
            log=make_log("INFO", stream=lines),
            clock=clock,
        )
        return Kit(images, clock, lines, tmp_path / "cache")

    yield build
    client.close()


UPLOAD = "/data/upload/2/1234abcd-x.png"
LOCAL = "/data/local-files/"


def exif_rotated() -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (8, 6))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "shape_hw"),
    [
        (picture(), (6, 8)),
        (picture("I;16"), (6, 8)),
        (picture("CMYK", kind="JPEG"), (6, 8)),
        (picture("L"), (6, 8)),
        (picture("RGBA"), (6, 8)),
        (picture("P", kind="GIF"), (6, 8)),
        (picture(kind="WEBP"), (6, 8)),
        (exif_rotated(), (8, 6)),
    ],
    ids=["png", "16-bit", "cmyk", "grey", "rgba", "gif", "webp", "exif"],
)
def test_every_kind_of_image_arrives_with_the_size_a_browser_shows(
    make: Callable[..., Kit], site: Site, data: bytes, shape_hw: tuple[int, int]
) -> None:
    site.serve(UPLOAD, data)

    image = make().images.fetch(UPLOAD, task_id=1)

    assert image.shape_hw == shape_hw
    assert image.path.read_bytes() == data
    assert image.image_id == hashlib.sha256(data).hexdigest() == image.path.name


def test_one_fetch_serves_all_who_ask_at_once(make: Callable[..., Kit], site: Site) -> None:
    kit = make()
    release = threading.Event()
    site.serve(UPLOAD, picture())
    answer = site.pages[UPLOAD]

    def slow(handler: BaseHTTPRequestHandler) -> None:
        assert release.wait(10)
        answer(handler)

    site.pages[UPLOAD] = slow
    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(kit.images.fetch, UPLOAD, task_id=n) for n in range(16)]
        release.set()
        ids = {future.result().image_id for future in futures}

    assert len(ids) == 1
    assert site.count(UPLOAD) == 1


def test_an_upload_is_never_asked_for_again(make: Callable[..., Kit], site: Site) -> None:
    kit = make()
    site.serve(UPLOAD, picture())
    kit.images.fetch(UPLOAD, task_id=1)
    kit.clock.now += 10**6
    kit.images.fetch(UPLOAD, task_id=1)

    assert site.count(UPLOAD) == 1


def test_a_changed_image_is_noticed_after_a_minute(make: Callable[..., Kit], site: Site) -> None:
    kit = make()
    site.serve(LOCAL, picture(), ETag='"1"')
    first = kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1)
    site.serve(LOCAL, picture(size=(5, 5)), ETag='"2"')
    kit.clock.now += 30
    within = kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1)
    kit.clock.now += 31
    later = kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1)

    assert first == within
    assert later.shape_hw == (5, 5)
    assert site.asked[-1][1]["If-None-Match"] == '"1"'


def test_an_unchanged_image_is_not_sent_again(make: Callable[..., Kit], site: Site) -> None:
    kit = make()
    site.serve(LOCAL, picture(), ETag='"1"')
    first = kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1)
    site.serve(LOCAL, b"", status=304)
    kit.clock.now += 61

    assert kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1) == first


def test_an_old_copy_serves_while_the_server_is_down(make: Callable[..., Kit], site: Site) -> None:
    kit = make()
    site.serve(LOCAL, picture())
    first = kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1)
    site.serve(LOCAL, b"", status=502)
    kit.clock.now += 61

    assert kit.images.fetch(f"{LOCAL}?d=x.png", task_id=1) == first
    assert "an old copy of an image serves" in kit.lines.getvalue()


def test_a_legacy_token_is_sent_as_it_is(make: Callable[..., Kit], site: Site) -> None:
    site.serve(UPLOAD, picture())
    make(token=LEGACY).images.fetch(UPLOAD, task_id=1)

    assert site.asked[-1][1]["Authorization"] == f"Token {LEGACY}"


def test_a_personal_token_buys_access_tokens(make: Callable[..., Kit], site: Site) -> None:
    """One for four minutes, and a new one when it is refused before its time."""
    kit = make(token=PAT)
    given = iter(["first", "second", "third"])
    good = {"first"}

    def refresh(handler: BaseHTTPRequestHandler) -> None:
        assert json.loads(handler.sent) == {"refresh": PAT}  # type: ignore[attr-defined]
        site.serve("/scratch", json.dumps({"access": next(given)}).encode())
        site.pages["/scratch"](handler)

    def guarded(handler: BaseHTTPRequestHandler) -> None:
        token = handler.headers["Authorization"].removeprefix("Bearer ")
        site.serve("/scratch", picture(), status=200 if token in good else 401)
        site.pages["/scratch"](handler)

    site.pages["/api/token/refresh/"] = refresh
    for n in range(4):
        site.pages[f"/data/upload/2/{n}.png"] = guarded
    kit.images.fetch("/data/upload/2/0.png", task_id=1)
    kit.images.fetch("/data/upload/2/1.png", task_id=1)
    assert site.count("/api/token/refresh/") == 1

    good.clear()
    good.add("second")
    kit.images.fetch("/data/upload/2/2.png", task_id=1)
    assert site.count("/api/token/refresh/") == 2

    good.add("third")
    kit.clock.now += 241
    kit.images.fetch("/data/upload/2/3.png", task_id=1)
    assert site.count("/api/token/refresh/") == 3


def test_a_refused_token_is_told_with_what_to_do(make: Callable[..., Kit], site: Site) -> None:
    site.serve("/api/token/refresh/", b"{}", status=401)
    site.serve(UPLOAD, b"", status=401)

    with pytest.raises(Unavailable, match="personal access token") as of_pat:
        make(token=PAT).images.fetch(UPLOAD, task_id=1)
    with pytest.raises(Unavailable, match="LABEL_STUDIO_API_KEY"):
        make(token=LEGACY).images.fetch(UPLOAD, task_id=1)

    assert PAT not in str(of_pat.value)


def test_cloud_storage_goes_through_label_studio_and_its_redirect(
    make: Callable[..., Kit], site: Site
) -> None:
    """The token stays with Label Studio."""
    signed = site.url.replace("127.0.0.1", "storage.example")
    site.serve("/tasks/7/resolve/", b"", status=303, Location=f"{signed}/bucket/x.png?sig=1")
    site.serve("/bucket/x.png", picture())
    kit = make(token=LEGACY, allowed=("storage.example",), resolve=lambda _h, _p: ["127.0.0.1"])

    image = kit.images.fetch("s3://bucket/x.png", task_id=7)

    assert image.shape_hw == (6, 8)
    first, second = site.asked
    uri = parse_qs(urlsplit(first[0]).query)["fileuri"][0]
    assert base64.urlsafe_b64decode(uri) == b"s3://bucket/x.png"
    assert first[1]["Authorization"] == f"Token {LEGACY}"
    assert "Authorization" not in second[1]
    assert second[1]["Host"].startswith("storage.example:")


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/x.png", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"],
)
def test_a_redirect_to_a_host_that_is_not_listed_is_refused(
    make: Callable[..., Kit], site: Site, target: str
) -> None:
    site.serve(UPLOAD, b"", status=302, Location=target)

    with pytest.raises(AddressRefused):
        make().images.fetch(UPLOAD, task_id=1)


def test_a_listed_pattern_must_not_lead_to_a_private_address(
    make: Callable[..., Kit], site: Site
) -> None:
    kit = make(allowed=("*.example",), resolve=lambda _h, _p: ["93.184.216.34", "127.0.0.1"])

    with pytest.raises(AddressRefused, match="private address"):
        kit.images.fetch(site.url.replace("127.0.0.1", "images.example") + "/x.png", task_id=1)

    assert site.asked == []


def test_endless_redirects_end(make: Callable[..., Kit], site: Site) -> None:
    site.serve(UPLOAD, b"", status=302, Location=UPLOAD)

    with pytest.raises(BadImage, match="redirected"):
        make().images.fetch(UPLOAD, task_id=1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFound), (403, Unavailable), (500, Unavailable), (429, Unavailable), (418, BadImage)],
)
def test_the_servers_refusal_is_told_by_kind(
    make: Callable[..., Kit], site: Site, status: int, kind: type[Exception]
) -> None:
    site.serve(UPLOAD, b"", status=status)

    with pytest.raises(kind):
        make().images.fetch(UPLOAD, task_id=1)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>not an image</html>", picture()[:20], picture(size=(200, 200)), b"x" * 200_000],
    ids=["empty", "html", "cut", "too many pixels", "too many bytes"],
)
def test_what_is_no_image_of_bearable_size_is_refused_and_not_kept(
    make: Callable[..., Kit], site: Site, data: bytes
) -> None:
    kit = make()
    site.serve(UPLOAD, data)

    with pytest.raises(BadImage):
        kit.images.fetch(UPLOAD, task_id=1)

    assert list(kit.folder.iterdir()) == []


def test_a_decompression_bomb_is_refused_by_its_header(
    make: Callable[..., Kit], site: Site
) -> None:
    bomb = bytearray(picture("1", size=(1, 1)))
    bomb[16:24] = (50_000).to_bytes(4, "big") * 2
    site.serve(UPLOAD, bytes(bomb))

    with pytest.raises(BadImage):
        make().images.fetch(UPLOAD, task_id=1)


def test_a_server_that_does_not_answer_is_given_up(make: Callable[..., Kit], site: Site) -> None:
    gone = threading.Event()
    site.pages[UPLOAD] = lambda _handler: gone.wait(10) and None

    with pytest.raises(Unavailable, match="in time"):
        make(timeout_s=0.2).images.fetch(UPLOAD, task_id=1)
    gone.set()


def test_a_server_that_drips_is_given_up(make: Callable[..., Kit], site: Site) -> None:
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            while not over.wait(0.02):
                handler.wfile.write(b"x")
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True

    site.pages[UPLOAD] = drip
    with pytest.raises(Unavailable):
        make(timeout_s=0.3).images.fetch(UPLOAD, task_id=1)
    over.set()


def test_a_server_that_is_not_there_is_unavailable(make: Callable[..., Kit], site: Site) -> None:
    kit = make(allowed=("127.0.0.1",))

    with pytest.raises(Unavailable, match="cannot be reached"):
        kit.images.fetch("http://127.0.0.1:9/x.png?token=s3cret", task_id=1)


def test_a_host_without_a_number_is_not_found(make: Callable[..., Kit]) -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(NotFound, match="no such name"):
        make(allowed=("a.example",), resolve=nowhere).images.fetch("http://a.example/x", task_id=1)


def test_a_failed_fetch_is_tried_again_the_next_time(make: Callable[..., Kit], site: Site) -> None:
    kit = make()
    site.serve(UPLOAD, b"", status=500)
    with pytest.raises(Unavailable):
        kit.images.fetch(UPLOAD, task_id=1)
    site.serve(UPLOAD, picture())

    assert kit.images.fetch(UPLOAD, task_id=1).shape_hw == (6, 8)


def test_a_local_file_is_read_where_it_lies_and_again_when_it_changes(
    make: Callable[..., Kit], tmp_path: Path
) -> None:
    root = tmp_path / "served"
    root.mkdir()
    (root / "x.png").write_bytes(picture())
    kit = make(root=root)
    first = kit.images.fetch("/data/local-files/?d=x.png", task_id=1)
    (root / "x.png").write_bytes(picture(size=(5, 7)))
    second = kit.images.fetch("/data/local-files/?d=x.png", task_id=1)

    assert first.path == root / "x.png"
    assert (first.shape_hw, second.shape_hw) == ((6, 8), (7, 5))
    assert first.image_id != second.image_id


def test_an_inline_image_is_kept_like_any_other(make: Callable[..., Kit]) -> None:
    text = base64.b64encode(picture()).decode()

    image = make().images.fetch(f"data:image/png;base64,{text}", task_id=None)

    assert image.path.read_bytes() == picture()


def test_the_least_recently_used_images_give_way(make: Callable[..., Kit], site: Site) -> None:
    """But not what was handed out in the last two minutes."""
    bodies = [picture(size=(50, 50 + n), compress_level=0) for n in range(4)]
    kit = make(max_bytes=2 * len(bodies[3]) + 10)
    for n, body in enumerate(bodies):
        site.serve(f"/data/upload/2/{n}.png", body)
    kept = [kit.images.fetch(f"/data/upload/2/{n}.png", task_id=1) for n in range(3)]
    assert all(image.path.exists() for image in kept)

    kit.clock.now += 121
    kit.images.fetch("/data/upload/2/1.png", task_id=1)
    newest = kit.images.fetch("/data/upload/2/3.png", task_id=1)

    assert [image.path.exists() for image in kept] == [False, True, False]
    assert newest.path.exists()
    assert kit.images.state().nbytes == len(bodies[1]) + len(bodies[3])
    assert kit.images.fetch("/data/upload/2/0.png", task_id=1).path.exists()


def test_what_an_earlier_process_left_counts_and_gives_way_first(
    make: Callable[..., Kit], site: Site
) -> None:
    body = picture(size=(50, 50), compress_level=0)
    site.serve(UPLOAD, body)
    left = make().images.fetch(UPLOAD, task_id=1)
    site.serve(LOCAL, picture(size=(50, 51), compress_level=0))
    again = make(max_bytes=len(body) + 500)

    assert again.images.state().nbytes == len(body)
    again.images.fetch(f"{LOCAL}?d=x", task_id=1)
    assert not left.path.exists()
