"""Label noise on whole data sets: made, measured and compared."""
