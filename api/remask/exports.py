"""Exports: annotations fetched from Label Studio and written in the formats of the field."""

from __future__ import annotations

from remask_exports.export import export
from remask_exports.formats.coco import COCO
from remask_exports.formats.label_studio import LABEL_STUDIO, LABEL_STUDIO_ANNOTATIONS
from remask_exports.formats.open_images import OPEN_IMAGES
from remask_exports.formats.parquet import PARQUET
from remask_exports.formats.png import BINARY_PNG, PNG
from remask_exports.formats.writer import Format, Writer
from remask_exports.formats.yolo import YOLO
from remask_exports.instances import ImageRef, Instance
from remask_exports.manifest import Manifest
from remask_exports.selection import Selection

__all__ = [
    "BINARY_PNG",
    "COCO",
    "LABEL_STUDIO",
    "LABEL_STUDIO_ANNOTATIONS",
    "OPEN_IMAGES",
    "PARQUET",
    "PNG",
    "YOLO",
    "Format",
    "ImageRef",
    "Instance",
    "Manifest",
    "Selection",
    "Writer",
    "export",
]
