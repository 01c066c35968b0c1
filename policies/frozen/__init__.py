"""What is taken from history before step 1 and never changes in the attempt. Values."""
