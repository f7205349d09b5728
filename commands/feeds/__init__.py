"""What is done to the records of feed clients."""
