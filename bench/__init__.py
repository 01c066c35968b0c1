"""Benchmarks and full-size proofs. Each prints its figures and ends non-zero when a bar is missed."""
