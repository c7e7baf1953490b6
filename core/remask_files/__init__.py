"""Files read as streams: JSON, COCO, CSV."""
