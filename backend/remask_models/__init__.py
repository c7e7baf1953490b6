"""The models themselves: bundled convnet, Segment Anything, GrabCut."""
