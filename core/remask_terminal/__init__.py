"""What the commands share: options, tables and progress bars on a terminal."""
