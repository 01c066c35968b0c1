"""Models: packages, loading, and calling them batch by batch. Knows nothing of traffic or rollouts."""
