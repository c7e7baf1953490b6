"""The qualification test for annotators and its result page."""
