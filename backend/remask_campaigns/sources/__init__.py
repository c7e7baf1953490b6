"""Where the boxes and true masks of a campaign come from."""
