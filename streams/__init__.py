"""Kafka: messages, codec, pure batch pipeline, transport, agents."""
