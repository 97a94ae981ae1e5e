"""A Kafka node of one's own: its jars, its JVM, its process."""
