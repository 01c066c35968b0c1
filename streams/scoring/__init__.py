"""The scoring process: from polled requests to confirmed answers and outcomes."""
