"""Training and fine-tuning of the bundled model."""
