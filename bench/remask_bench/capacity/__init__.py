"""Capacity on paper: annotators, hosts and GPUs simulated with measured costs."""
