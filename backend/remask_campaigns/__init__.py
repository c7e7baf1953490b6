"""Campaigns: sources, rounds, gold masks, crops and qualification."""
