"""One command, remask."""
