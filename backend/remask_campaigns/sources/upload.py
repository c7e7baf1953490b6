"""Images with boxes, read from a file, become a Label Studio project to begin a campaign from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from remask_campaigns.sources.boxes import LeftOut
from remask_core.errors import InputError
from remask_core.images import image_size
from remask_core.progress import OnProgress, no_progress
from remask_label_config.pages.boxes import box_region, write_box_config
from remask_label_config.prompts import PercentBox
from remask_label_studio.api import LabelStudioApi

__all__ = [
    "ImagePlace",
    "SourceBox",
    "SourceImage",
    "file_names_of",
    "import_source",
]

_IMAGES_PER_PAGE = 20
"""Files in one request; Label Studio takes 100, but they may be large."""

_LOCAL_FILES = "/data/local-files/"

_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""Label Studio refuses all files of a request if one of them has another ending."""


@dataclass(frozen=True, slots=True)
class SourceBox:
    """A box of a file.

    Attributes:
        id: Its name in the file, unique for the image.
        label: Its class.
        place: In per cent of the image.
        segmentation: COCO's, undecoded; None where the file has none.
    """

    id: str
    label: str
    place: PercentBox
    segmentation: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image of a file, and its boxes.

    Attributes:
        file_name: Relative path, with forward slashes; unique in the file.
        shape_hw: Height and width in pixels that the boxes were drawn for; None if not told.
        boxes: At least one.
        url: Where the file says that the image can be had.
    """

    file_name: str
    shape_hw: tuple[int, int] | None
    boxes: tuple[SourceBox, ...]
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where the images are, and how Label Studio gets at them.

    Attributes:
        folder: Of the image files on this machine; None if they are elsewhere.
        prefix: What comes before a file's name in its address, `https://example.org/photos/` or
            `/data/local-files/?d=photos/`. None: files of `folder` are uploaded; without a folder
            the addresses are those that the file itself has.
    """

    folder: Path | None = None
    prefix: str | None = None

    @property
    def uploads(self) -> bool:
        """Whether Label Studio is given the files themselves."""
        return self.folder is not None and self.prefix is None

    def address(self, image: SourceImage) -> str:
        """Return the address of an image that is not uploaded.

        Raises:
            InputError: There is neither prefix nor an address in the file.
        """
        if self.prefix is not None:
            return self.prefix + quote(image.file_name)
        if image.url is not None:
            return image.url
        raise InputError(
            f"`images` or `image_prefix` must say where {image.file_name} is; the file has no "
            "address of it"
        )


@dataclass(frozen=True, slots=True)
class _Ready:
    """An image whose size agrees with its boxes; `file` is empty where nothing is uploaded."""

    image: SourceImage
    shape_hw: tuple[int, int] | None
    file: bytes = b""


def import_source(
    connection: LabelStudioApi,
    title: str,
    images: Sequence[SourceImage],
    *,
    place: ImagePlace,
    description: str = "",
    on_progress: OnProgress = no_progress,
    left_out: Callable[[LeftOut], None] = lambda _one: None,
) -> int:
    """Return the project that holds `images` with their boxes as annotations.

    A project of that title is continued: images that it has are not imported again, so that a
    call that was interrupted can be repeated.

    Args:
        connection: To Label Studio.
        title: Of the project.
        images: With boxes.
        place: Where the image files are.
        description: Of the project.
        on_progress: Called with the progress of the images that are there.
        left_out: Called with each image that cannot be used.

    Raises:
        InputError: There are no images, a class has a name that Label Studio cannot hold, or an
            image has no address.
        Unavailable: Label Studio does not answer.
    """
    if not images:
        raise InputError("`images` must hold at least one image with a box; there is none")
    known = connection.projects_titled(title)
    if known:
        project = known[0]
    else:
        classes = sorted({box.label for image in images for box in image.boxes})
        config = write_box_config(classes)
        project = connection.create_project(title, label_config=config, description=description)
        _serve(connection, project, place)
    present = set(file_names_of(connection, project).values())
    missing = [image for image in images if image.file_name not in present]
    done = len(images) - len(missing)
    on_progress("images", done, len(images))
    for some in _pages(missing):
        ready = [_ready(image, place) for image in some]
        for one in ready:
            if isinstance(one, LeftOut):
                left_out(one)
        _import(connection, project, [one for one in ready if isinstance(one, _Ready)], place)
        done += len(some)
        on_progress("images", done, len(images))
    return project


def file_names_of(connection: LabelStudioApi, project: int) -> dict[int, str]:
    """Return the file name of each task's image in a project that `import_source` made."""
    return {
        task: str(data["file_name"])
        for task, data in connection.task_data(project)
        if "file_name" in data
    }


def _serve(connection: LabelStudioApi, project: int, place: ImagePlace) -> None:
    """Let Label Studio serve the folder, where its addresses say that it is to do so."""
    if place.folder is None or place.prefix is None or not place.prefix.startswith(_LOCAL_FILES):
        return
    try:
        connection.serve_folder(project, place.folder.absolute())
    except InputError:
        # Label Studio may know the folder by another path, and serve it for another project.
        return


def _pages(images: Sequence[SourceImage]) -> Iterator[Sequence[SourceImage]]:
    for start in range(0, len(images), _IMAGES_PER_PAGE):
        yield images[start : start + _IMAGES_PER_PAGE]


def _ready(image: SourceImage, place: ImagePlace) -> _Ready | LeftOut:
    if place.folder is None:
        return _Ready(image, image.shape_hw)
    if place.uploads and not image.file_name.lower().endswith(_ENDINGS):
        ends = ", ".join(_ENDINGS)
        return LeftOut(image.file_name, "no-image", f"Label Studio takes files that end in {ends}")
    try:
        file = (place.folder / image.file_name).read_bytes()
        shape_hw = image_size(file)
    except OSError as error:
        return LeftOut(image.file_name, "no-file", str(error))
    except InputError as error:
        return LeftOut(image.file_name, "no-image", str(error))
    if image.shape_hw is not None and not _same_view(image.shape_hw, shape_hw):
        return LeftOut(image.file_name, "other-size", _sizes(image.shape_hw, shape_hw))
    return _Ready(image, shape_hw, file if place.uploads else b"")


def _same_view(on_progress: tuple[int, int], shown: tuple[int, int]) -> bool:
    """Whether the boxes of one size lie where they should on the other: only scaled."""
    down, across = shown[0] / on_progress[0], shown[1] / on_progress[1]
    return abs(down - across) * max(on_progress) <= 1.0


def _sizes(on_progress: tuple[int, int], shown: tuple[int, int]) -> str:
    return (
        f"its boxes are for {on_progress[1]} x {on_progress[0]} px, but a browser shows it as "
        f"{shown[1]} x {shown[0]} px"
    )


def _import(
    connection: LabelStudioApi, project: int, ready: Sequence[_Ready], place: ImagePlace
) -> None:
    if not ready:
        return
    if place.uploads:
        named = [(Path(one.image.file_name).name, one.file) for one in ready]
        addresses = connection.upload_files(project, named)
    else:
        addresses = [place.address(one.image) for one in ready]
    tasks = [_task(one, address) for one, address in zip(ready, addresses, strict=True)]
    connection.import_whole_tasks(project, tasks)


def _task(one: _Ready, address: str) -> dict[str, Any]:
    regions = [
        box_region(box.place, box.label, region_id=box.id, shape_hw=one.shape_hw)
        for box in one.image.boxes
    ]
    return {
        "data": {"image": address, "file_name": one.image.file_name},
        "annotations": [{"result": regions}],
    }
