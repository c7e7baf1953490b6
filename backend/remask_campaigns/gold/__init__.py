"""Reference masks: painted by hand, or taken from a file or project."""
