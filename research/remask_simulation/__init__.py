"""Simulated annotators: boxes, clicks and working time; and a crew that answers a campaign."""
