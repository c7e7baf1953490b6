"""Readers of files: JSON as a stream, COCO, CSV, text in any encoding."""
