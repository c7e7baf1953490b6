"""The database: click log, campaigns, and the records of a campaign."""
