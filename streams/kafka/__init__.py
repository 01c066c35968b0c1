"""Kafka by librdkafka: settings, topics, readers without a group, the producer, and the embedded broker."""
