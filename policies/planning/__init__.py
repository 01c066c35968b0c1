"""What may be expected of a plan before it starts."""
