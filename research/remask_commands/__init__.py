"""The research commands of `remask`; the command line finds them by entry point."""
