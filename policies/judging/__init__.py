"""One look: the findings of all checks become a verdict and a decision."""
