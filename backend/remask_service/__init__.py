"""Flask: Label Studio's protocol and the ops endpoints."""
