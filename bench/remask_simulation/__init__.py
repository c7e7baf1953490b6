"""Pure: simulated annotators (boxes, clicks, timing) and label noise."""
