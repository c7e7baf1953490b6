"""Predictions: from a request of Label Studio to masks, live and in batches."""
