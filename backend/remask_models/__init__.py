"""The models: the bundled convnet, Segment Anything, GrabCut. Imports no torch by itself."""
