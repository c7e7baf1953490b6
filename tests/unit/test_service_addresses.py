"""Which places an address in a task may mean."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from remask_core.errors import BadImage, NotFound
from remask_images.addresses import (
    AddressBook,
    AddressRefused,
    HostRules,
    InlineImage,
    LocalImage,
    RemoteImage,
    shown,
)

HOME = "https://labels.example.org/ls"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    (root / "images").mkdir(parents=True)
    (root / "images" / "a b.png").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"x")
    (root / "inside.png").symlink_to(root / "images" / "a b.png")
    (root / "outside.png").symlink_to(tmp_path / "secret.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    return root


def book(root: Path | None = None, home: str | None = HOME) -> AddressBook:
    return AddressBook(
        label_studio_url=home,
        label_studio_host="http://localhost:8080",
        local_files_root=root,
        max_inline_bytes=1000,
    )


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("/data/upload/2/1234abcd-x.png", f"{HOME}/data/upload/2/1234abcd-x.png"),
        ("/ls/data/upload/2/1234abcd-x.png", f"{HOME}/data/upload/2/1234abcd-x.png"),
        ("upload/2/1234abcd-x.png", f"{HOME}/data/upload/2/1234abcd-x.png"),
        (f"{HOME}/data/upload/2/ä b.png", f"{HOME}/data/upload/2/%C3%A4%20b.png"),
        ("http://localhost:8080/data/upload/2/x.png", f"{HOME}/data/upload/2/x.png"),
        ("/data/local-files/?d=a/b.png", f"{HOME}/data/local-files/?d=a/b.png"),
        ("https://images.example.com/x.png?sig=1", "https://images.example.com/x.png?sig=1"),
    ],
)
def test_an_address_becomes_one_to_fetch(address: str, url: str) -> None:
    place = book().locate(address, task_id=1)

    assert isinstance(place, RemoteImage)
    assert place.url == url


def test_uploads_never_change_and_local_files_do() -> None:
    upload = book().locate("/data/upload/2/1234abcd-x.png", task_id=1)
    local = book().locate("/data/local-files/?d=x.png", task_id=1)

    assert isinstance(upload, RemoteImage)
    assert isinstance(local, RemoteImage)
    assert (upload.never_changes, local.never_changes) == (True, False)


@pytest.mark.parametrize("uri", ["s3://bucket/ä?.png", "gs://b/x.png", "azure-blob://c/x.png"])
def test_cloud_storage_is_resolved_by_label_studio_for_the_task(uri: str) -> None:
    place = book().locate(uri, task_id=7)

    assert isinstance(place, RemoteImage)
    head, _, coded = place.url.partition("?fileuri=")
    assert head == f"{HOME}/tasks/7/resolve/"
    assert base64.urlsafe_b64decode(coded.replace("%3D", "=")).decode() == uri


@pytest.mark.parametrize(
    "address", ["/data/upload/2/x.png", "s3://bucket/x.png", "/data/local-files/?d=x"]
)
def test_without_label_studio_its_files_cannot_be_found(address: str) -> None:
    with pytest.raises(NotFound, match="LABEL_STUDIO_URL"):
        book(home=None).locate(address, task_id=1)


@pytest.mark.parametrize(
    "query", ["images/a b.png", "images%2Fa%20b.png", "/images/a b.png", "./x/../images/a b.png"]
)
def test_a_local_file_is_found_below_the_root(root: Path, query: str) -> None:
    place = book(root).locate(f"/data/local-files/?d={query}", task_id=1)

    assert place == LocalImage(root / "images" / "a b.png")


def test_a_link_inside_the_root_is_followed(root: Path) -> None:
    place = book(root).locate("/data/local-files/?d=inside.png", task_id=1)

    assert place == LocalImage(root / "images" / "a b.png")


@pytest.mark.parametrize(
    "query",
    [
        "../secret.png",
        "%2e%2e/secret.png",
        "images/../../secret.png",
        "outside.png",
        "/etc/passwd",
        "images",
        "nothing.png",
        "loop.png",
        "a%00b",
        "",
        "x" * 5000,
    ],
)
def test_nothing_outside_the_root_can_be_had(root: Path, query: str) -> None:
    with pytest.raises((AddressRefused, NotFound)):
        book(root).locate(f"/data/local-files/?d={query}", task_id=1)


def test_an_inline_image_is_decoded() -> None:
    text = base64.b64encode(b"png bytes").decode()

    assert book().locate(f"data:image/png;base64,{text}", task_id=1) == InlineImage(b"png bytes")
    assert book().locate("data:image/svg+xml,%3Csvg", task_id=1) == InlineImage(b"<svg")


@pytest.mark.parametrize(
    "address",
    ["data:text/html,x", "data:image/png;base64,***", "data:image/png;base64," + "A" * 4000],
)
def test_an_inline_image_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadImage):
        book().locate(address, task_id=1)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://images.example.com/x.png",
        "file:///etc/passwd",
        "//images.example.com/x.png",
        "http://[::1",
        "http://host:port/x",
        "https://me:secret@images.example.com/x.png",
        "javascript:alert(1)",
    ],
)
def test_other_kinds_of_address_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        book().locate(address, task_id=1)

    assert "secret" not in str(caught.value)


RULES = HostRules(HOME, ["images.example.com", "*.cloud.example", "10.1.2.3"])


@pytest.mark.parametrize(
    "url",
    [
        f"{HOME}/data/upload/1/x.png",
        "https://images.example.com/x",
        "https://a.b.cloud.example/x",
        "http://IMAGES.example.com:8000/x",
    ],
)
def test_listed_hosts_are_allowed(url: str) -> None:
    RULES.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/x",
        "https://cloud.example/x",
        "https://evilcloud.example/x",
        "https://images.example.com.evil.example/x",
        "https://labels.example.org:444/ls/data/upload/1/x.png",
        "https://images.example.com@evil.example/x",
        "http://127.0.0.1/x",
        f"{HOME}/data/upload/%2e%2e/%2e%2e/api/x",
        "gopher://images.example.com/x",
    ],
)
def test_other_hosts_and_climbing_paths_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        RULES.check(url)


@pytest.mark.parametrize(
    "number",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "100::1"),
        # IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP.
        *("::ffff:10.0.0.1", "::127.0.0.1", "::10.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8"),
        *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1"),
        *("2001:0:4136:e378:8000:63bf:f5ff:fffe", "2a00:1450::5efe:10.0.0.1"),
    ],
)
def test_a_public_name_must_not_lead_to_a_private_number(number: str) -> None:
    with pytest.raises(AddressRefused, match="private"):
        RULES.check_number("https://a.cloud.example/x", number)


def test_a_listed_name_or_label_studio_may_be_private() -> None:
    RULES.check_number("https://images.example.com/x", "10.0.0.1")
    RULES.check_number(f"{HOME}/data/upload/x", "10.0.0.1")
    for number in ("93.184.216.34", "2a00:1450:4001:80b::200e", "64:ff9b::5db8:d822"):
        RULES.check_number("https://a.cloud.example/x", number)


@pytest.mark.parametrize(
    ("url", "takes"),
    [
        (f"{HOME}/data/upload/1/x.png", True),
        (f"{HOME}/tasks/3/resolve/?fileuri=x", True),
        (f"{HOME}/storage-data/uploaded/?filepath=x", True),
        (f"{HOME}/api/users", False),
        (f"{HOME}/tasks/3/annotations/", False),
        ("https://labels.example.org/data/upload/1/x.png", False),
        ("http://labels.example.org/ls/data/upload/1/x.png", False),
        ("https://images.example.com/data/upload/1/x.png", False),
    ],
)
def test_the_token_goes_to_label_studios_files_only(url: str, takes: bool) -> None:
    assert RULES.takes_token(url) is takes


def test_an_address_is_shown_without_secrets() -> None:
    assert shown("https://me:pw@h.example/x.png?X-Amz-Signature=s3cret") == (
        "'https://h.example/x.png'"
    )
    assert shown("/data/local-files/?d=a.png&token=s3cret") == "'/data/local-files/?d=a.png'"
    assert len(shown("https://h.example/" + "x" * 1000)) < 210
    assert "AAAA" not in shown("data:image/png;base64,AAAA")
