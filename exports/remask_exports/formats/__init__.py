"""The export formats, one per module."""
