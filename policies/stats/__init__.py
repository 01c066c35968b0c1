"""Sequential tests and their sums: pure mathematics on counts. Knows no rollout, variant names aside."""
