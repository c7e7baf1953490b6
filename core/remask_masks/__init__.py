"""Masks compared: error regions, kinds of errors, where people click, simplified outlines."""
