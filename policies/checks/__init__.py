"""What each kind of check compares, how its tests learn, and what it finds at a look."""
