"""HTTP to log: the routes of the Kafka REST proxy and of the Kinesis API of the original."""
