"""The scheduler around a model, its child process and its client."""
