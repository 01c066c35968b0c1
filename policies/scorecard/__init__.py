"""Outcomes into sums, and sums into the epochs in which they may be compared."""
