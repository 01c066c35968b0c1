"""What every process knows of the others: the fold of the control log, and heartbeats."""
