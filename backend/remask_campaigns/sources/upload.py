"""Images with boxes, read from a file, become a Label Studio project to begin a campaign from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from remask_core.errors import InputError
from remask_core.images import image_size
from remask_core.left_out import LeftOut, LeftOutCounts, OnLeftOut, ignore_left_out
from remask_core.progress import OnProgress, no_progress
from remask_core.types import Box
from remask_label_config.pages.boxes import box_region, write_box_config
from remask_label_config.prompts import PercentBox
from remask_label_studio.api import LabelStudioApi

__all__ = [
    "ImagePlace",
    "SourceBox",
    "SourceImage",
    "check_images",
    "file_names_of",
    "import_source",
]

_IMAGES_PER_PAGE = 20
"""Files in one request; Label Studio takes 100, but they may be large."""

_HEAD_BYTES = 1 << 16
"""Enough for the header of nearly every image file."""

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
        segmentation: COCO's, as JSON; None where the file has none.
    """

    id: str
    label: str
    place: PercentBox
    segmentation: bytes | None = None


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

    def check(self) -> None:
        """Raise an `InputError` if the folder of the images is none."""
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"`--images` must be a folder; there is none at {self.folder}")

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
    left_out: OnLeftOut = ignore_left_out,
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
        InputError: No image can be used, and then no project is made; a class has a name that
            Label Studio cannot hold; or an image has no address.
        Unavailable: Label Studio does not answer.
    """
    place.check()
    known = connection.projects_titled(title)
    project = known[0] if known else None
    present = set() if project is None else set(file_names_of(connection, project).values())
    missing = [image for image in images if image.file_name not in present]
    done = len(images) - len(missing)
    on_progress("images", done, len(images))
    reasons = LeftOutCounts()
    leave_out = reasons.before(left_out)
    for page in _pages(missing):
        ready = []
        for image in page:
            checked = _ready(image, place)
            if isinstance(checked, LeftOut):
                leave_out(checked)
            else:
                ready.append(checked)
        if ready and project is None:
            classes = sorted({box.label for image in images for box in image.boxes})
            config = write_box_config(classes)
            project = connection.create_project(title, label_config=config, description=description)
            _serve(connection, project, place)
        if project is not None:
            _import(connection, project, ready, place)
        done += len(page)
        on_progress("images", done, len(images))
    if project is None:
        raise _nothing_left(len(images), reasons)
    return project


def check_images(
    images: Sequence[SourceImage],
    place: ImagePlace,
    *,
    wants: Callable[[Box], bool] = lambda box: True,
    left_out: OnLeftOut = ignore_left_out,
) -> list[SourceImage]:
    """Return what of `images` a campaign can begin from; nothing is sent anywhere.

    Args:
        images: With boxes.
        place: Where the image files are.
        wants: Says whether a box, in pixels, is large enough. Asked where the size of its image is
            known.
        left_out: Called with each image and box that cannot be used.

    Raises:
        InputError: The folder is none, or nothing can be used; the message says why.
    """
    place.check()
    reasons = LeftOutCounts()
    leave_out = reasons.before(left_out)
    usable = []
    for image in images:
        checked = _ready(image, place, read=False)
        if isinstance(checked, LeftOut):
            leave_out(checked)
            continue
        boxes = []
        for box in image.boxes:
            in_px = None if checked.shape_hw is None else box.place.to_box(checked.shape_hw)
            if in_px is None or wants(in_px):
                boxes.append(box)
            else:
                size = f"{in_px.width:.0f} x {in_px.height:.0f} px"
                leave_out(LeftOut(f"{image.file_name}/{box.id}", "too-small", size))
        if boxes:
            usable.append(replace(image, boxes=tuple(boxes)))
    if not usable:
        raise _nothing_left(len(images), reasons)
    return usable


def _nothing_left(n_images: int, reasons: LeftOutCounts) -> InputError:
    if not n_images:
        return InputError("there must be a box to begin from; the file has none that can be used")
    return InputError(
        "there must be an image with a box to begin from; none of the file's "
        f"{n_images} can be used. {'. '.join(reasons.lines())}"
    )


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


def _ready(image: SourceImage, place: ImagePlace, *, read: bool = True) -> _Ready | LeftOut:
    """Return an image that can be imported, or why it cannot.

    Args:
        image: With boxes.
        place: Where its file is.
        read: Whether the file is wanted, where it is to be uploaded.
    """
    if place.folder is None:
        if ".." in PurePosixPath(image.file_name).parts:
            return LeftOut(image.file_name, "outside", "its name leads out of the images' folder")
        return _Ready(image, image.shape_hw)
    if place.uploads and not image.file_name.lower().endswith(_ENDINGS):
        ends = ", ".join(_ENDINGS)
        return LeftOut(image.file_name, "no-image", f"Label Studio takes files that end in {ends}")
    try:
        path = (place.folder / image.file_name).resolve()
        if not path.is_relative_to(place.folder.resolve()):
            return LeftOut(image.file_name, "outside", f"it lies outside of {place.folder}")
        file = path.read_bytes() if read and place.uploads else b""
        shape_hw = image_size(file) if file else _size_of(path)
    except InputError as error:
        return LeftOut(image.file_name, "no-image", str(error))
    except (OSError, ValueError) as error:
        # A name may have a NUL byte in it, which is a ValueError.
        return LeftOut(image.file_name, "no-file", str(error))
    if image.shape_hw is not None and not _same_view(image.shape_hw, shape_hw):
        return LeftOut(image.file_name, "other-size", _sizes(image.shape_hw, shape_hw))
    return _Ready(image, shape_hw, file)


def _size_of(path: Path) -> tuple[int, int]:
    """Return an image file's height and width, from its beginning where that is enough."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        try:
            return image_size(head)
        except InputError:
            # A header may be larger, with a colour profile or a preview in it.
            return image_size(head + file.read())


def _same_view(file_hw: tuple[int, int], shown_hw: tuple[int, int]) -> bool:
    """Whether boxes of one size lie where they should on the other: only scaled."""
    down, across = shown_hw[0] / file_hw[0], shown_hw[1] / file_hw[1]
    return abs(down - across) * max(file_hw) <= 1.0


def _sizes(file_hw: tuple[int, int], shown_hw: tuple[int, int]) -> str:
    return (
        f"its boxes are for {file_hw[1]} x {file_hw[0]} px, but a browser shows it as "
        f"{shown_hw[1]} x {shown_hw[0]} px"
    )


def _import(
    connection: LabelStudioApi, project: int, ready: Sequence[_Ready], place: ImagePlace
) -> None:
    if not ready:
        return
    if place.uploads:
        named = [(Path(image.image.file_name).name, image.file) for image in ready]
        addresses = connection.upload_files(project, named)
    else:
        addresses = [place.address(image.image) for image in ready]
    tasks = [_task(image, address) for image, address in zip(ready, addresses, strict=True)]
    connection.import_whole_tasks(project, tasks)


def _task(ready: _Ready, address: str) -> dict[str, Any]:
    regions = [
        box_region(box.place, box.label, region_id=box.id, shape_hw=ready.shape_hw)
        for box in ready.image.boxes
    ]
    return {
        "data": {"image": address, "file_name": ready.image.file_name},
        "annotations": [{"result": regions}],
    }
