"""Interactive segmentation measured: clicks to an IoU, rounds of clicks."""
