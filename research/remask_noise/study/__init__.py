"""What label noise costs a small instance segmentation model.

The encoder of the bundled model is frozen, so each object is encoded once (`features`). Two light
heads, one for the mask and one for the class, are trained anew on every kind of noise (`heads`).
"""
