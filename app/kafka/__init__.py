"""Everything of Kafka: messages, topics, headers of retries, the admin client and the consumers."""
