"""Images of tasks: from an address to a checked file on this machine."""
