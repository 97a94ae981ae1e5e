"""The log: topics and streams as partitioned, durable sequences of records, behind one protocol."""
