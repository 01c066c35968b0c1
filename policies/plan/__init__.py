"""What an author fixed beforehand: steps, checks, routing, windows. Values."""
