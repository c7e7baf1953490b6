"""Benchmarks: interactive segmentation, load, side-by-side timings."""
