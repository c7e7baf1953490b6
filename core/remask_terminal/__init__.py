"""Options, tables and progress bars of the commands."""
