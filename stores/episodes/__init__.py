"""Episodes (records of runs): schema, shards, feedback, redaction, statistics."""
