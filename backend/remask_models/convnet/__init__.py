"""The bundled model `convnet`."""
