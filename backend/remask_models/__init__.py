"""The models themselves: bundled convnet, Segment Anything, GrabCut. Imports no torch by itself."""
