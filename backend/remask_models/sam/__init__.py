"""Segment Anything and its family as Segmenters; `registry` names and loads them."""
