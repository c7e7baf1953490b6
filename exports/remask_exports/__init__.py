"""Pulling annotations from Label Studio and writing them in the formats of the field."""
