"""Label Studio's XML and JSON to our nouns and back; ready-made labelling configs."""
