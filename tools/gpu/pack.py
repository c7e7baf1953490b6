"""Pack training folders into one small file: `python -m tools.gpu.pack DATA... --out pack.npz`.

A GPU that is rented by the minute takes a few dozen megabytes along. So pictures are shrunk and
stored as JPEG, label maps as PNG; side and quality are lowered until the file fits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from remask_training.batches import Pool, find_folders, load_pool
from remask_training.samples import Sample

# Longer side in pixels and JPEG quality, best first.
_LEVELS = ((320, 80), (288, 75), (256, 75), (256, 62), (224, 60), (192, 55), (160, 50))
_PROBED = 200  # pictures that a level's size is estimated from
_MIN_SIDE_PX = 8  # of an instance once its picture is shrunk

UNION = -1
"""In `values`: all labels of the mask together are the instance."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Instances of many pictures, decoded.

    Attributes:
        pictures: (H, W, 3) uint8 RGB each.
        labels: (H, W) uint8 or uint16 each.
        picture_of: (M,) picture of each label map.
        labels_of: (N,) label map of each instance.
        values: (N,) label of each instance; `UNION` for all.
        boxes: (N, 4) tight boxes in pixels of the packed picture.
        odds: (N,) how often each is drawn; the sum is 1.
    """

    pictures: list[npt.NDArray[np.uint8]]
    labels: list[npt.NDArray[Any]]
    picture_of: npt.NDArray[np.int32]
    labels_of: npt.NDArray[np.int32]
    values: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]
    odds: npt.NDArray[np.float64]


def pack(pool: Pool, out: Path, *, most_bytes: int) -> tuple[int, int]:
    """Write the pool's samples to `out`; return the side and quality that fitted.

    Raises:
        ValueError: Not even the coarsest level fits.
    """
    samples = [sample for folder in pool.folders for sample in folder]
    odds = np.concatenate(
        [share * odds for share, odds in zip(pool.shares, pool.odds, strict=True)]
    )
    pictures = {id(sample.picture): sample for sample in samples}
    maps = {id(sample.labels): sample for sample in samples}
    step = max(1, len(pictures) // _PROBED)
    for side, quality in _LEVELS:
        probed = list(pictures.values())[::step]
        guess = (
            sum(len(_jpeg(sample, side, quality)) for sample in probed)
            * len(pictures)
            / len(probed)
        )
        if guess > 0.98 * most_bytes:
            continue
        jpegs = [_jpeg(sample, side, quality) for sample in pictures.values()]
        pngs = [_png(sample, side) for sample in maps.values()]
        if sum(map(len, jpegs)) + sum(map(len, pngs)) > 0.98 * most_bytes:
            continue
        _write(out, samples, odds, jpegs, pngs, list(pictures), list(maps), side)
        return side, quality
    raise ValueError(f"`most_bytes` must hold {len(pictures)} pictures; {most_bytes} do not")


def _write(
    out: Path,
    samples: Sequence[Sample],
    odds: npt.NDArray[np.float64],
    jpegs: Sequence[bytes],
    pngs: Sequence[bytes],
    pictures: Sequence[int],
    maps: Sequence[int],
    side: int,
) -> None:
    picture_number = {key: number for number, key in enumerate(pictures)}
    map_number = {key: number for number, key in enumerate(maps)}
    picture_of = {map_number[id(s.labels)]: picture_number[id(s.picture)] for s in samples}
    scales = np.array([_scale(sample, side) for sample in samples])
    boxes = np.array([(s.box.x0, s.box.y0, s.box.x1, s.box.y1) for s in samples]) * scales[:, None]
    seen = (boxes[:, 2:] - boxes[:, :2]).max(1) >= _MIN_SIDE_PX
    np.savez(
        out,
        jpegs=np.frombuffer(b"".join(jpegs), np.uint8),
        jpeg_ends=np.cumsum([len(jpeg) for jpeg in jpegs]),
        pngs=np.frombuffer(b"".join(pngs), np.uint8),
        png_ends=np.cumsum([len(png) for png in pngs]),
        picture_of=np.array([picture_of[n] for n in range(len(maps))], np.int32),
        labels_of=np.array([map_number[id(s.labels)] for s in samples], np.int32)[seen],
        values=np.array([s.values[0] if len(s.values) == 1 else UNION for s in samples], np.int32)[
            seen
        ],
        boxes=boxes.astype(np.float32)[seen],
        odds=odds[seen] / odds[seen].sum(),
    )


def unpack(path: Path) -> Packed:
    """Return what `pack` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        pictures = [
            cv2.cvtColor(_decoded(part, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8)
            for part in _parts(stored["jpegs"], stored["jpeg_ends"])
        ]
        labels = [
            _decoded(part, cv2.IMREAD_UNCHANGED)
            for part in _parts(stored["pngs"], stored["png_ends"])
        ]
        return Packed(
            pictures,
            labels,
            stored["picture_of"],
            stored["labels_of"],
            stored["values"],
            stored["boxes"],
            stored["odds"],
        )


def _parts(
    joined: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.uint8]]:
    first = 0
    for end in ends:
        yield joined[first:end]
        first = int(end)


def _decoded(stored: npt.NDArray[np.uint8], how: int) -> npt.NDArray[Any]:
    pixels = cv2.imdecode(stored, how)
    assert pixels is not None
    return pixels


def _scale(sample: Sample, side: int) -> float:
    return min(1.0, side / max(sample.labels.shape))


def _size(sample: Sample, side: int) -> tuple[int, int]:
    height, width = sample.labels.shape
    scale = _scale(sample, side)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _jpeg(sample: Sample, side: int, quality: int) -> bytes:
    small = cv2.resize(sample.picture.image, _size(sample, side), interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _png(sample: Sample, side: int) -> bytes:
    small = cv2.resize(sample.labels, _size(sample, side), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most-mib", type=float, default=45.0)
    asked = parser.parse_args()
    pool, _ = load_pool(find_folders(asked.data))
    side, quality = pack(pool, asked.out, most_bytes=int(asked.most_mib * 2**20))
    print(f"{asked.out}: {asked.out.stat().st_size / 2**20:.1f} MiB, {side} px, quality {quality}")


if __name__ == "__main__":
    main()
