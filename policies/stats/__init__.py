"""Statistics of sequential comparison: sketches and e-processes, one a file."""
