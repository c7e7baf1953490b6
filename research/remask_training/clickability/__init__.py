"""Training of the clickability model."""
