"""Make the golden vectors in tests/golden: our own inputs, answered by other people's libraries.

    python -m tools.make_golden [FOLDER]

Nothing of remask is imported here. The answers come from Label Studio's SDK (brush RLE),
pycocotools (COCO RLE and average precision), SciPy (overlaps, clicks) and Shapely (simplified
outlines). Shapely is not among remask's dependencies: `pip install "shapely>=2.0,<2.1"`, whose
GEOS 3.11 simplifies as the published label noise did. tests/golden/README.md says what the files
hold.

The inputs are drawn from seeds. A library that answers differently some day shows as a diff of the
files, which is to be explained before it is committed.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from tools.golden_coco import make_coco, text_of, write_json
from tools.golden_shapes import Mask, blob, disk, oval, polygon, star

FOLDER = Path(__file__).parent.parent / "tests" / "golden"
LEVELS = {"easy": (3, 5), "medium": (5, 10), "hard": (7, 15)}
"""Kernel side and tolerance in pixels of the three levels of COCO-N (section 4)."""


def pairs_of_masks() -> Iterator[tuple[str, Mask, Mask]]:
    """Yield name, truth and guess: overlaps of every kind, and masks at the image's border."""
    rng = np.random.default_rng(20)
    shape = (90, 130)
    nothing = np.zeros(shape, np.bool_)
    round_one = disk(shape, 60, 45, 25)
    yield "same", round_one, round_one
    yield "shifted", round_one, np.roll(round_one, 9, 1)
    yield "grown", round_one, disk(shape, 60, 45, 28)
    yield "apart", disk(shape, 25, 30, 12), disk(shape, 100, 60, 14)
    yield "truth_empty", nothing, round_one
    yield "guess_empty", round_one, nothing
    yield "both_empty", nothing, nothing
    yield "at_the_corner", disk(shape, 0, 0, 40), disk(shape, 4, 2, 40)
    yield "whole_image", ~nothing, ~disk(shape, 129, 89, 20)
    yield "with_a_hole", round_one & ~disk(shape, 60, 45, 10), round_one
    yield "two_parts", disk(shape, 30, 45, 15) | disk(shape, 95, 45, 18), disk(shape, 95, 46, 18)
    yield "thin", disk(shape, 60, 45, 30) & ~disk(shape, 60, 45, 29), disk(shape, 60, 45, 30)
    yield "speckled", rng.random(shape) < 0.5, rng.random(shape) < 0.5
    yield "one_row", np.ones((1, 40), np.bool_), np.arange(40)[None] < 30
    yield "wavy", blob((200, 260), rng), blob((200, 260), rng)


# Brush RLE: label-studio-sdk


def make_brush_rle(folder: Path) -> None:
    mask2rle = import_module("label_studio_sdk.converter.brush").mask2rle

    rng = np.random.default_rng(10)
    checkers = (np.add.outer(np.arange(7), np.arange(9)) % 2).astype(np.bool_)
    masks = {
        "empty": np.zeros((8, 8), np.bool_),
        "full": np.ones((6, 5), np.bool_),
        "one_pixel": np.ones((1, 1), np.bool_),
        "last_pixel": np.arange(35).reshape(5, 7) == 34,
        "checkers": checkers,
        "speckled": rng.random((17, 13)) < 0.5,
        "row": np.arange(64)[None] % 64 < 16,
        "column": np.arange(70)[:, None] % 9 < 4,
        "long_runs": np.arange(128 * 128).reshape(128, 128) >= 9000,
        "disk": disk((120, 160), 80, 60, 40),
        "wavy": blob((200, 260), rng),
        "ring": disk((90, 90), 45, 45, 40) & ~disk((90, 90), 45, 45, 20),
    }
    arrays: dict[str, Any] = {}
    cases = {}
    for name, mask in masks.items():
        arrays[f"{name}__mask"] = np.packbits(mask)
        for value in (1, 255):
            rle = mask2rle(mask.astype(np.uint8) * value)
            arrays[f"{name}__rle{value}"] = np.asarray(rle, np.uint8)
        cases[name] = {"h": mask.shape[0], "w": mask.shape[1], "area": int(mask.sum())}
    write_json(folder / "brush_rle.json", {"cases": cases})
    np.savez_compressed(folder / "brush_rle.npz", **arrays)


# IoU, boundary IoU, boundary F: SciPy


def make_overlaps(folder: Path) -> None:
    arrays: dict[str, Any] = {}
    pairs = {}
    for name, truth, guess in pairs_of_masks():
        arrays[f"{name}__gt"], arrays[f"{name}__pred"] = np.packbits(truth), np.packbits(guess)
        diagonal = math.hypot(*truth.shape)
        either = int((truth | guess).sum())
        found: dict[str, Any] = {
            "shape": list(truth.shape),
            # The name under which the authors of DAVIS have it: two empty masks agree.
            "davis_jaccard(empty_empty=1)": int((truth & guess).sum()) / either if either else 1.0,
        }
        for ratio in (0.02, 0.01, 0.005):
            width_px = max(1, round(ratio * diagonal))
            bands = [boundary_band(mask, width_px) for mask in (truth, guess)]
            found[f"boundary@{ratio}"] = {
                "gt_boundary_px": int(bands[0].sum()),
                "pred_boundary_px": int(bands[1].sum()),
                "intersection": int((bands[0] & bands[1]).sum()),
                "union": int((bands[0] | bands[1]).sum()),
            }
        reaches = {"F@5px": 5, "F@1px": 1, "F@davis_0.008diag": math.ceil(0.008 * diagonal)}
        for key, reach_px in reaches.items():
            found[key] = {"bound_px": reach_px, "F": boundary_f(truth, guess, reach_px)}
        pairs[name] = found
    write_json(folder / "pairs.json", {"pairs": pairs})
    np.savez_compressed(folder / "pairs.npz", **arrays)


def boundary_band(mask: Mask, width_px: int) -> Mask:
    """Return the pixels that an erosion of `width_px` steps takes away (Cheng et al. 2021)."""
    eroded = ndimage.binary_erosion(np.pad(mask, 1), square(3), iterations=width_px)
    return np.asarray(mask & ~eroded[1:-1, 1:-1])


def boundary_f(truth: Mask, guess: Mask, reach_px: int) -> float:
    """Return the F measure of the two outlines (Perazzi et al. 2016, DAVIS)."""
    lines = [outline(guess), outline(truth)]
    counts = [int(line.sum()) for line in lines]
    if not all(counts):
        return float(not any(counts))
    near = [ndimage.distance_transform_edt(~line) <= reach_px + 1e-6 for line in lines]
    precision = int((lines[0] & near[1]).sum()) / counts[0]
    recall = int((lines[1] & near[0]).sum()) / counts[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(mask: Mask) -> Mask:
    """Return the pixels that differ from their neighbour to the right, below or diagonally."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    line = mask ^ padded[:-1, 1:] | mask ^ padded[1:, :-1] | mask ^ padded[1:, 1:]
    # In DAVIS the last row and column only look along the border.
    line[-1] = mask[-1] ^ padded[-1, 1:]
    line[:, -1] = mask[:, -1] ^ padded[1:, -1]
    line[-1, -1] = False
    return np.asarray(line)


# The clicks of RITM's evaluation: SciPy's distance transform


def make_clicks(folder: Path) -> None:
    shape = (96, 128)
    square = np.zeros(shape, np.bool_)
    square[30:50, 40:60] = True
    void = disk(shape, 64, 48, 33) & ~disk(shape, 64, 48, 28)
    masks = {
        "missing_disk": (disk(shape, 64, 48, 30), np.zeros(shape, np.bool_), None),
        "missing_square_with_ties": (square, np.zeros(shape, np.bool_), None),
        "nothing_but_wrong": (np.zeros(shape, np.bool_), disk(shape, 30, 30, 15), None),
        "missing_and_wrong": (disk(shape, 50, 48, 28), disk(shape, 80, 48, 28), None),
        "at_the_border": (disk(shape, 0, 48, 35), disk(shape, 127, 0, 30), None),
        "with_a_void": (disk(shape, 64, 48, 30), disk(shape, 64, 48, 12), void),
        "one_pixel": (disk(shape, 64, 48, 0.5), np.zeros(shape, np.bool_), None),
        "nothing_to_correct": (square, square, None),
    }
    arrays: dict[str, Any] = {}
    cases = {}
    for name, (truth, mask, ignored) in masks.items():
        marked = truth.astype(np.int8)
        if ignored is not None:
            marked[ignored] = -1
        arrays[f"{name}__gt"], arrays[f"{name}__pred"] = marked, mask.astype(np.int8)
        cases[name] = {
            "seq_static": click_sequence(marked, mask, paint=False),
            "seq_oracle_r6": click_sequence(marked, mask, paint=True),
        }
    write_json(folder / "clicks.json", {"cases": cases})
    np.savez_compressed(folder / "pairs.npz", **arrays)


def click_sequence(
    marked: npt.NDArray[np.int8], mask: Mask, *, paint: bool
) -> list[dict[str, Any]]:
    """Return eight clicks, each in the middle of the thickest error (Sofiiuk et al. 2021).

    Args:
        marked: 1 for the object, 0 for the rest, -1 for what does not count.
        mask: What is corrected.
        paint: Whether each click puts a disk of radius 6 right; else only its pixel is taken.
    """
    counts, truth, taken = marked != -1, marked == 1, np.zeros(marked.shape, np.bool_)
    steps = []
    for number in range(8):
        depths = [
            ndimage.distance_transform_edt(np.pad(errors & counts, 1))[1:-1, 1:-1] * ~taken
            for errors in (truth & ~mask, mask & ~truth)
        ]
        positive = bool(depths[0].max() > depths[1].max())
        depth = depths[0 if positive else 1]
        # Distances to pixels are roots of whole numbers, which no rounding makes equal.
        ties = np.argwhere(np.isclose(depth, depth.max(), atol=1e-5))
        y, x = ties[0].tolist() if depth.max() > 0 else (0, 0)
        steps.append(
            {
                "i": number,
                "x": x,
                "y": y,
                "positive": positive,
                "ties_yx": ties[:400].tolist() if depth.max() > 0 else [],
            }
        )
        taken[y, x] = True
        if paint:
            mask = np.where(disk((marked.shape[0], marked.shape[1]), x, y, 6), truth, mask)
    return steps


# Label noise: Shapely's simplification, SciPy's morphology


def make_noise(folder: Path) -> None:
    rng = np.random.default_rng(40)
    shape = (200, 260)
    makers = (star, blob, oval)
    shapes = [makers[number % 3](shape, rng) for number in range(120)]
    stored = [
        {"rle": coco_rle(mask), "kind": makers[n % 3].__name__} for n, mask in enumerate(shapes)
    ]
    write_json(folder / "shapes.json", {"h": shape[0], "w": shape[1], "shapes": stored})
    ring = disk(shape, 130, 100, 60) & ~disk(shape, 130, 100, 25)
    border = disk(shape, 5, 190, 70)
    parts = disk(shape, 70, 100, 30) | disk(shape, 180, 100, 45)
    chosen = {f"{item['kind']}_{n}": shapes[n] for n, item in enumerate(stored[:8])}
    chosen |= {
        "ring": ring,
        "at_the_border": border,
        "two_parts": parts,
        "polygon": polygon(shape, rng),
    }
    fixed = {}
    for name, mask in chosen.items():
        out: dict[str, Any] = {}
        for level, (kernel_px, tolerance_px) in LEVELS.items():
            made = {
                "approximation": simplified(mask, tolerance_px),
                "dilation": ndimage.binary_dilation(mask, square(kernel_px)),
                "erosion": ndimage.binary_erosion(mask, square(kernel_px), border_value=1),
            }
            made["opening(paper only)"] = ndimage.binary_dilation(
                made["erosion"], square(kernel_px)
            )
            out |= {f"{level}/{key}": {"rle": coco_rle(result)} for key, result in made.items()}
        fixed[name] = {"clean": coco_rle(mask), "out": out}
    write_json(folder / "fixed_ops.json", {"fixed": fixed})


def square(side_px: int) -> Mask:
    return np.ones((side_px, side_px), np.bool_)


def simplified(mask: Mask, tolerance_px: float) -> Mask:
    """Return the outer outlines of `mask`, simplified by GEOS and filled again (COCO-N)."""
    # Imported by name, so that type checkers do not ask for it.
    polygon_type = import_module("shapely.geometry").Polygon

    outlines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    canvas = np.zeros(mask.shape, np.uint8)
    for points in outlines:
        if len(points) >= 4:
            ring = (
                polygon_type(points[:, 0]).simplify(tolerance_px, preserve_topology=True).exterior
            )
            cv2.fillPoly(canvas, [np.asarray(ring.coords, np.int32)], 1)
    return canvas.view(np.bool_)


def coco_rle(mask: Mask) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    return text_of(coco_mask.encode(np.asfortranarray(mask.view(np.uint8))))


# Boxes by plain rejection; rows as Open Images publishes them


def make_boxes(folder: Path) -> None:
    """Noise of 60 px on each coordinate, kept where the IoU is at least 0.7 (Benenson et al.)."""
    rng = np.random.default_rng(50)
    cases = []
    for width, height in ((90, 120), (200, 150), (385, 385), (500, 300)):
        tight = np.array([0.0, 0.0, width, height])
        noise = rng.normal(0, 60, (2_000_000, 4))
        drawn_boxes = tight + noise
        overlap = (
            np.minimum(drawn_boxes[:, 2:], tight[2:]) - np.maximum(drawn_boxes[:, :2], 0)
        ).clip(0)
        common = overlap.prod(1)
        sides = drawn_boxes[:, 2:] - drawn_boxes[:, :2]
        ious = np.where((sides > 0).all(1), common / (sides.prod(1) + width * height - common), 0.0)
        kept = ious >= 0.7
        cases.append(
            {
                "w": width,
                "h": height,
                "n_accepted": int(kept.sum()),
                "mean_iou": float(ious[kept].mean()),
                "std_corner_shift": float(noise[kept].std()),
                "mean_abs_corner_shift": float(np.abs(noise[kept]).mean()),
            }
        )
    key = "box_noise_rejection(N(0,60) per corner coordinate, keep IoU>=0.7, unclipped)"
    write_json(folder / "derived.json", {key: cases})


def make_open_images(folder: Path) -> None:
    """Rows with the columns that Open Images publishes, made up, and what they say."""
    rng = np.random.default_rng(60)
    columns = "MaskPath ImageID LabelName BoxID BoxXMin BoxXMax BoxYMin BoxYMax PredictedIoU Clicks"
    rows, parsed = [], []
    for number in range(5):
        image, box, label = f"{number:016x}", f"{number + 160:08x}", f"/m/0made{number}"
        (x0, x1), (y0, y1) = np.sort(rng.random((2, 2)), axis=1)
        clicks = [
            {"x": float(f"{x:.5f}"), "y": float(f"{y:.5f}"), "t": int(sign > 0.4)}
            for x, y, sign in rng.random((int(rng.integers(0, 13)), 3))
        ]
        text = ";".join(f"{click['x']:.5f} {click['y']:.5f} {click['t']}" for click in clicks)
        path = f"{image}_{label[1:].replace('/', '')}_{box}.png"
        edges = [f"{edge:.6f}" for edge in (x0, x1, y0, y1)]
        rows.append([path, image, label, box, *edges, f"{rng.random():.5f}", text])
        parsed.append({"mask_path": path, "clicks": clicks})
    with (folder / "sample_rows.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns.split(), *rows])
    write_json(folder / "parsed.json", {"rows": parsed})


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else FOLDER
    makers = {
        "labelstudio": make_brush_rle,
        "metrics": make_overlaps,
        "coco": make_coco,
        "ritm": make_clicks,
        "cocon": make_noise,
        "benenson": make_boxes,
        "openimages": make_open_images,
    }
    for name, make in makers.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        make(root / name)
        print(f"made {root / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
