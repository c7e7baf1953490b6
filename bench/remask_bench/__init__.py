"""Timings beside what a user would pick instead, and load tests that check every answer."""
