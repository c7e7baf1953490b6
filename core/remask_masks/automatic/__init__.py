"""Automatic masks: every object of an image from a grid of clicks, without anybody's help."""
