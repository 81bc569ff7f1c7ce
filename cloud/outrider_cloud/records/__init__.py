"""What the cloud's answers leave behind for training: records, and the shards they lie in."""
