"""Which image a mask lies on, and what the image's file is called."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path, PurePosixPath

import pytest

from remask_core.errors import InputError, NotFound
from remask_exports.image_keys import ImageKeys, ImagePlace, config_beside, read_image_tags
from remask_exports.image_names import file_name_of, name_images

TWO = """<View><Image name="a" value="$second"/><Image name="b" value="$first"/>
<Image name="pages" valueList="$scans"/></View>"""


def found(data: dict[str, object], tag: str = "image", *, names: tuple[str, ...] = ()) -> str:
    return ImageKeys(names=names or (tag,)).find(data, tag, None).address


def names_of(*addresses: str) -> list[str]:
    names = name_images(addresses)
    return [names.name(address) for address in addresses]


def test_the_configuration_says_which_image_a_tag_shows(tmp_path: Path) -> None:
    path = tmp_path / "export.config.xml"
    path.write_text(TWO, encoding="utf-8")
    keys = ImageKeys(read_image_tags(path), names=("a", "b"))
    data = {"first": "1.jpg", "second": "2.jpg", "a": "wrong.jpg", "scans": ["p0.png", "p1.png"]}

    assert ImagePlace("2.jpg", "second") == keys.find(data, "a", None)
    assert ImagePlace("1.jpg", "first") == keys.find(data, "b", None)
    assert ImagePlace("p1.png", "scans") == keys.find(data, "pages", 1)
    assert ["2.jpg", "1.jpg", "p0.png", "p1.png"] == list(keys.every_address(data, ()))
    for tag, index in (("c", None), ("pages", 2)):
        with pytest.raises(NotFound):
            keys.find(data, tag, index)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_configuration_is_read_as_editors_save_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "export.config.xml"
    path.write_bytes(TWO.replace("\n", "\r\n").encode(encoding))

    assert {"a", "b"} <= set(read_image_tags(path))


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.config.xml"
    assert path == config_beside(tmp_path / "a.json")
    with pytest.raises(NotFound, match=r"a\.config\.xml"):
        read_image_tags(path)
    for text in ("<View/>", "no XML", '<View><Image name="a"/></View>'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"a\.config\.xml"):
            read_image_tags(path)
    path.write_bytes('<View><Image name="ä" value="$a"/></View>'.encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_image_tags(path)


@pytest.mark.parametrize(
    ("data", "tag", "address"),
    [
        ({"page": "https://h/item/7", "small": "h/7.jpg", "photo": "h/8.jpg"}, "photo", "h/8.jpg"),
        ({"caption": "/r/dogs: a dog", "pic": "https://h/p/8"}, "pic", "https://h/p/8"),
        ({"caption": "/r/dogs: a dog", "pic": "https://h/p/8"}, "img", "https://h/p/8"),
        ({"site": "https://h/item/7", "photo": "s3://b/8.webp"}, "img", "s3://b/8.webp"),
        ({"thumb": "t.png", "image": "i.png"}, "picture", "i.png"),
        ({"text": "see a.jpg\nand b.jpg", "photo": "/data/upload/1/a b.png"}, "i", None),
        ({"photo": "/data/local-files/?d=a/b%20c.tif", "id": "/7"}, "i", None),
        ({"image": "no-ending", "thumb": "t.png"}, "image", "no-ending"),
    ],
)
def test_without_a_configuration_names_and_data_decide(
    data: dict[str, object], tag: str, address: str | None
) -> None:
    assert found(data, tag) == (data["photo"] if address is None else address)


@pytest.mark.parametrize(
    ("data", "names", "addresses"),
    [
        ({"left": "l.jpg", "right": "r.jpg"}, ("img_l", "img_r"), ["l.jpg", "r.jpg"]),
        ({"right": "r.jpg", "left": "l.jpg"}, ("img_l", "img_r"), ["l.jpg", "r.jpg"]),
        ({"top": "t.jpg", "side": "s.jpg"}, ("view-side", "view-top"), ["s.jpg", "t.jpg"]),
        ({"x": "x.jpg", "y": "y.jpg"}, ("im1", "im2"), ["x.jpg", "y.jpg"]),
        ({"x": "x.jpg", "y": "y.jpg", "z": "z.jpg"}, ("im2", "im9", "im10"), None),
        ({"cam": "c.jpg", "ref": "r.jpg"}, ("cam", "other"), ["c.jpg", "r.jpg"]),
        ({"only": "o.jpg"}, ("before", "after"), ["o.jpg", "o.jpg"]),
    ],
)
def test_two_image_tags_have_an_image_each(
    data: dict[str, object], names: tuple[str, ...], addresses: list[str] | None
) -> None:
    expected = ["x.jpg", "y.jpg", "z.jpg"] if addresses is None else addresses

    assert expected == [found(data, tag, names=names) for tag in names]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ({"x": "x.jpg", "y": "y.jpg"}, ("main", "aux")),
        ({"x": "x.jpg", "y": "y.jpg"}, ("photo",)),
        ({"x": "x.jpg", "y": "y.jpg", "z": "z.jpg"}, ("im1", "im2")),
        ({"caption": "a cat", "n": 3}, ("photo",)),
        ({}, ("photo",)),
        ({"photo": ["a.jpg"], "other": 3}, ("photo",)),
    ],
)
def test_no_image_is_guessed(data: dict[str, object], names: tuple[str, ...]) -> None:
    with pytest.raises(NotFound):
        ImageKeys(names=names).find(data, names[0], 1 if "other" in data else None)


def test_images_of_one_project_never_share_a_name() -> None:
    addresses = [
        "s3://bucket/cam1/0001.jpg",
        "s3://bucket/cam2/0001.jpg",
        "s3://other/cam2/0001.jpg",
        "https://h/x/1.jpg",
        "https://h/x/1.png",
        "https://h/?id=6",
        "https://h/?id=7",
        "https://h1/p/9.jpg",
        "https://h2/p/9.jpg",
        "https://h/a.png",
        "/data/local-files/?d=a.txt/b.png",
        "/data/local-files/?d=a.TXT/b.png",
        "/data/local-files/?d=images/7.jpg",
        "/data/upload/3/7.jpg",
        "https://h/" + 304 * "ü" + ".jpg",
        "https://h/" + 304 * "ü" + "2.jpg",
        "/data/local-files/?d=" + "/".join(9 * [190 * "z"]) + "/end.png",
        "https://h/A%CC%88.jpg",
        "https://h/%C3%A4.jpg",
        "https://h/v1.5",
        "https://h/v1.6",
        "https://h/%E9.jpg",
        "https://h/%E8.jpg",
    ]

    names = [PurePosixPath(name) for name in names_of(*addresses)]

    stems = {str(name.with_suffix("")).casefold().removeprefix("images/") for name in names}
    assert len(addresses) == len(stems)
    label_files = {str(name.with_suffix(".txt")).casefold() for name in names}
    folders = {str(folder).casefold() for name in names for folder in name.parents}
    assert not label_files & folders
    assert all(len(part.encode()) < 240 for name in names for part in name.parts)
    assert all(len(str(name).encode()) <= 1000 for name in names)
    assert ["cam1/0001.jpg", "bucket/cam2/0001.jpg"] == [str(name) for name in names[:2]]
    assert ["h1/p/9.jpg", "h2/p/9.jpg"] == [str(name) for name in names[7:9]]


def test_a_name_depends_on_the_images_and_not_on_their_order() -> None:
    addresses = [
        "s3://b/1/a.jpg",
        "s3://b/2/a.jpg",
        "s3://c/2/a.jpg",
        "http://h/?i=1",
        "http://h/?i=2",
    ]
    names = dict(zip(addresses, names_of(*addresses), strict=True))

    assert names == dict(
        zip(reversed(addresses), names_of(*reversed(addresses + addresses)), strict=False)
    )
    for first, second in combinations(addresses, 2):
        assert len({*names_of(first, second)}) == 2


def test_an_image_that_is_alone_with_its_name_keeps_it() -> None:
    assert ["y.jpg", "a/z.jpg"] == names_of("https://h/x/y.jpg", "/data/local-files/?d=a/z.jpg")
    assert not name_images(["https://h/x/y.jpg"]).renamed
    assert "[broken" == file_name_of("https://[broken")


def test_stems_that_several_images_have_are_known() -> None:
    names = name_images(["s3://b/1/a.jpg", "s3://b/2/a.jpg", "s3://b/2/c.jpg"])

    assert [False, False, True] == [
        names.has_own_stem(f"s3://b/{path}") for path in ("1/a.jpg", "2/a.jpg", "2/c.jpg")
    ]
