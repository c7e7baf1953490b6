"""The sections of the quality report."""
