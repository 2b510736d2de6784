"""Pull beside push: the same Pix through both, in turns on the same core."""
