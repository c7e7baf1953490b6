"""The rounds of a campaign: opened, answered, read, and their masks made."""
