"""The analyzing process: outcomes into sums, sums into looks, looks into commands."""
