"""Records of runs: schema, shards, feedback, redaction, statistics."""
