"""Ratings of masks by people, from 1 to 10."""
