"""Work on all images of a project or folder that no annotator waits for."""
