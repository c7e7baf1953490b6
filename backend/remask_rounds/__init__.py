"""Click log and store; the connection to Label Studio's API."""
