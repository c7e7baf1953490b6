"""A small instance segmentation model that shows what label noise costs.

The encoder of the bundled model stays as it is, so that an object is seen once (`features`); two
light heads on what it sees, one for the mask and one for the class, are trained anew on every kind
of noise (`heads`).
"""
