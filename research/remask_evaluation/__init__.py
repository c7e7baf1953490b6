"""Evaluation: COCO and boundary AP, clicks and rounds to an IoU, rankings."""
