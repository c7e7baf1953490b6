"""Crops of large images that a campaign shows instead of the whole."""
