"""Training rounds: warm-up, collect, train, gate, measure."""
