"""The write side: one verb per file, the ports it needs, and their Kafka, Redis and HTTP adapters."""
