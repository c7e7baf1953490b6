"""From an address in a task to a checked image file on this machine."""
