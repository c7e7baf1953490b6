"""Ranking masks by how good they probably are, from the clicks that made them."""
