"""The clickability model: where people click on an error."""
