"""The quality report of a campaign."""
