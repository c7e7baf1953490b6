"""Which noise explains the difference between two annotations of the same images."""
