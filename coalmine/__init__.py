"""Safe canary releases for models that score events on Kafka."""

__all__ = ["__version__"]

__version__ = "0.1.0"
