"""Segment Anything on a GPU: a check against the CPU, then timings beside the packages' own loops.

`bench/gpu/run.sh` runs this. Weights are random but seeded, the same both ways: the work is that
of the real models, the masks mean nothing. The check comes first, because a fast wrong answer is
worth nothing: the device in single precision must give the CPU's logits; how far bfloat16 moves
them is a figure of the table.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor

from remask_bench.gpu_models import FULL, TINY, Network
from remask_core.errors import RemaskError
from remask_core.types import Box, Click, Embedding, Prompt, RgbImage, no_pause
from remask_models.device import resolve_device
from remask_models.sam.family import FamilySegmenter
from remask_models.sam.prompted import Prompted
from remask_models.sam.segment_anything import SamSegmenter

__all__ = ["Row", "main", "measure"]

_MOST_ERROR = 1e-2
_CLICK = Prompt((Click(300, 200, True),))
_BOX = Prompt(box=Box(100, 80, 420, 300))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        model: The network.
        what: What was measured, with its unit.
        ours: Our figure.
        package: The figure of the package's own loop; None where it has no such thing.
        failed: Whether the figure is a check that failed.
    """

    model: str
    what: str
    ours: float
    package: float | None = None
    failed: bool = False


def measure(
    networks: Sequence[Network], *, device: torch.device, repeats: int, images: int, ends: float
) -> Iterator[Row]:
    """Yield the rows of each network, as they are measured.

    Args:
        networks: Which.
        device: Where ours and the package's loops run.
        repeats: Of each timing.
        images: Of mixed sizes, after which the device's memory must be what it was before.
        ends: Monotonic time; a network is not begun after it, and timings are cut short.
    """
    for network in networks:
        if time.monotonic() >= ends:
            yield Row(network.name, "not begun, no time left", float("nan"))
            continue
        yield from _measure_one(network, device, repeats, images, ends)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _measure_one(
    network: Network, device: torch.device, repeats: int, images: int, ends: float
) -> Iterator[Row]:
    built = network.build()
    yield from _checks(network.name, built, device)
    ours = _segmenter(built, device, network.name)
    image = _image(0)

    def timed(work: Callable[[], object]) -> list[float]:
        return list(_seconds(work, repeats=repeats, device=device, ends=ends))

    embed, click = _packages_loop(built, device, ours, image)
    mine, theirs = (float(np.median(timed(work))) for work in (lambda: ours.embed(image), embed))
    yield Row(network.name, "encoder, images/s", 1 / mine, 1 / theirs)
    embedding = ours.embed(image)
    clicks = [timed(lambda: ours.predict(embedding, _CLICK)), timed(click)]
    for share in (50, 95):
        mine, theirs = (1e3 * float(np.percentile(seconds, share)) for seconds in clicks)
        yield Row(network.name, f"click on a known image, p{share}, ms", mine, theirs)
    boxes = [Prompt(box=Box(x, 50, x + 90, 200)) for x in range(10, 330, 10)]
    seconds = float(np.median(timed(lambda: ours.predict_batch(embedding, boxes))))
    yield Row(network.name, "boxes of one image, a second", len(boxes) / seconds)
    yield Row(network.name, "longest time between two pauses, ms", 1e3 * _longest_gap(ours, image))
    if device.type == "cuda":
        grown = _memory_growth(ours, device, images, ends)
        yield Row(network.name, f"device memory grown over {images} images, MB", grown / 1e6)


def _segmenter(
    built: Any,
    device: torch.device,
    name: str,
    *,
    fused: bool = True,
    autocast: torch.dtype | None = None,
) -> SamSegmenter | FamilySegmenter:
    moved = copy.deepcopy(built).to(device)
    version = f"{name}@random000000"
    if hasattr(built, "image_encoder"):
        return SamSegmenter(moved, name=name, version=version, fused=fused, autocast=autocast)
    return FamilySegmenter(moved, name=name, version=version, autocast=autocast)


def _checks(name: str, built: Any, device: torch.device) -> Iterator[Row]:
    """Yield how far the device's logits are from the CPU's, relative to their spread."""
    image = _image(1)
    exact = _logits(_segmenter(built, torch.device("cpu"), name, fused=False), image)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        logits = _logits(_segmenter(built, device, name, autocast=dtype), image)
        error = float(np.sqrt(np.mean((logits - exact) ** 2)) / exact.std())
        failed = not np.isfinite(error) or (precision == "float32" and error > _MOST_ERROR)
        yield Row(name, f"error against the CPU, {precision}", error, failed=failed)


def _logits(segmenter: Prompted, image: RgbImage) -> np.ndarray[Any, Any]:
    embedding = segmenter.embed(image)
    answers = segmenter.predict_batch(embedding, [_BOX, Prompt(_CLICK.clicks, box=_BOX.box)])
    found = [candidates[0].logits for candidates in answers]
    return np.stack([logits for logits in found if logits is not None])


def _packages_loop(
    built: Any, device: torch.device, ours: Prompted, image: RgbImage
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the package's way to encode `image`, and to answer a click on it afterwards."""
    network = copy.deepcopy(built).to(device)
    (place,) = _CLICK.clicks
    if hasattr(network, "image_encoder"):
        predictor = SamPredictor(network)
        predictor.set_image(image)
        points, signs = np.array([[place.x, place.y]]), np.array([1])
        return lambda: predictor.set_image(image), lambda: predictor.predict(points, signs)

    def embed() -> Any:
        return network.get_image_embeddings(ours.frame.pixels(image, device=device))

    known = embed()
    features: dict[str, Any] = {"image_embeddings": known}
    if network.config.model_type == "sam_hq":
        features = {"image_embeddings": known[0], "intermediate_embeddings": known[1]}
    shape_hw = (image.shape[0], image.shape[1])
    at = torch.tensor(ours.frame.coordinates([[place.x, place.y]], shape_hw)[None, None])

    @torch.inference_mode()
    def click() -> Any:
        found = network(input_points=at.float().to(device), **features)
        masks = ours.frame.full_logits(found.pred_masks[0, 0], shape_hw) > 0
        return masks.cpu().numpy()

    return embed, click


def _image(seed: int, shape_hw: tuple[int, int] = (480, 640)) -> RgbImage:
    """Return smooth seeded noise, which scaling does not blur away."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (shape_hw[0] // 16, shape_hw[1] // 16, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(16, axis=0).repeat(16, axis=1))


def _seconds(
    work: Callable[[], object], *, repeats: int, device: torch.device, ends: float
) -> Iterator[float]:
    """Yield the seconds of each run after one that warms up; at least one."""
    work()
    for number in range(repeats):
        if number and time.monotonic() >= ends:
            return
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        yield time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _longest_gap(segmenter: Prompted, image: RgbImage) -> float:
    times: list[float] = []
    segmenter.embed(image, pause=lambda: times.append(time.perf_counter()))
    return float(np.diff(times).max()) if len(times) > 1 else 0.0


def _memory_growth(segmenter: Prompted, device: torch.device, images: int, ends: float) -> int:
    """Return by how many bytes the device's memory grew, embeddings left out."""
    sizes = ((480, 640), (1080, 1920), (320, 240), (2160, 3840))
    kept: list[Embedding] = []
    first = 0
    for number in range(images):
        kept[:] = [segmenter.embed(_image(number, sizes[number % 4]), pause=no_pause)]
        segmenter.predict(kept[0], _CLICK if number % 4 != 2 else Prompt((Click(5, 5, True),)))
        grown = torch.cuda.memory_allocated(device) - segmenter.device_cache_nbytes
        first = grown if number == 9 else first
        if time.monotonic() >= ends:
            break
    return grown - first


def _table(rows: Sequence[Row], device: torch.device) -> str:
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    lines = [
        f"{card}, torch {torch.__version__}; seeded random weights.",
        "",
        "| model | what | remask | the package's own loop | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        package = "–" if row.package is None else f"{row.package:.4g}"
        ratio = "–" if not row.package else f"{row.ours / row.package:.2f}"
        note = " **failed**" if row.failed else ""
        lines.append(f"| {row.model} | {row.what} | {row.ours:.4g}{note} | {package} | {ratio} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write `gpu.md`, and return the exit status: 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--out", type=Path, default=Path("out/gpu"), help="folder of gpu.md")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, seconds on a CPU")
    parser.add_argument("--limit-s", type=float, default=360.0, help="begin nothing after it")
    asked = parser.parse_args(arguments)
    ends = time.monotonic() + asked.limit_s
    try:
        device = resolve_device(asked.device)
    except RemaskError as error:
        parser.error(str(error))
    rows: list[Row] = []
    repeats, images = (2, 8) if asked.tiny else (30, 500)
    for row in measure(
        TINY if asked.tiny else FULL, device=device, repeats=repeats, images=images, ends=ends
    ):
        rows.append(row)
        sys.stderr.write(f"{row}\n")
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "gpu.md").write_text(_table(rows, device), encoding="utf-8")
    sys.stdout.write(_table(rows, device))
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
