"""Label Studio's API client and its access tokens."""
