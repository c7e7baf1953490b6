"""Shapes for the golden vectors: disks, ovals, stars, blobs and polygons, drawn from a seed."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Mask", "Rng", "blob", "disk", "oval", "polygon", "star"]

Mask: TypeAlias = npt.NDArray[np.bool_]
Rng: TypeAlias = np.random.Generator


def disk(shape_hw: tuple[int, int], x: float, y: float, radius: float) -> Mask:
    rows, columns = np.ogrid[: shape_hw[0], : shape_hw[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def filled(shape_hw: tuple[int, int], points_xy: npt.NDArray[Any]) -> Mask:
    canvas = np.zeros(shape_hw, np.uint8)
    cv2.fillPoly(canvas, [np.rint(points_xy).astype(np.int32)], 1)
    return canvas.view(np.bool_)


def star(shape_hw: tuple[int, int], rng: Rng) -> Mask:
    """Return a shape with five to nine rounded arms."""
    arms = int(rng.integers(5, 10))
    angles = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    depth = rng.uniform(0.15, 0.35)
    radii = rng.uniform(45, 70) * (1 - depth + depth * np.cos(arms * angles + rng.uniform(0, 6)))
    return filled(shape_hw, around(shape_hw, angles, radii, rng))


def blob(shape_hw: tuple[int, int], rng: Rng) -> Mask:
    """Return a shape with a smooth, wavy outline."""
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radii = np.full(200, rng.uniform(25, 60))
    for waves in range(2, 6):
        height = rng.uniform(0, 12 / waves)
        radii += height * np.sin(waves * angles + rng.uniform(0, 2 * np.pi))
    return filled(shape_hw, around(shape_hw, angles, radii, rng))


def oval(shape_hw: tuple[int, int], rng: Rng) -> Mask:
    """Return an ellipse, turned by any angle."""
    angles = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    long, short = rng.uniform(45, 75), rng.uniform(20, 40)
    radii = long * short / np.hypot(short * np.cos(angles), long * np.sin(angles))
    return filled(shape_hw, around(shape_hw, angles + rng.uniform(0, np.pi), radii, rng))


def polygon(shape_hw: tuple[int, int], rng: Rng) -> Mask:
    """Return a shape with four to eight straight sides."""
    sides = int(rng.integers(4, 9))
    angles = np.sort((np.arange(sides) + rng.uniform(-0.3, 0.3, sides)) * 2 * np.pi / sides)
    return filled(shape_hw, around(shape_hw, angles, rng.uniform(35, 75, sides), rng))


def around(
    shape_hw: tuple[int, int], angles: npt.NDArray[Any], radii: npt.NDArray[Any], rng: Rng
) -> npt.NDArray[np.float64]:
    stretch = rng.uniform(0.8, 1.25)
    centre = np.array([shape_hw[1] / 2, shape_hw[0] / 2]) + rng.uniform(-15, 15, 2)
    directions = np.stack([np.cos(angles) * stretch, np.sin(angles) / stretch], 1)
    return np.asarray(centre + directions * radii[:, None], np.float64)
