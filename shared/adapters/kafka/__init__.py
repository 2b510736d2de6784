"""Adapter of Kafka: messages of a topic, by a consumer group."""
