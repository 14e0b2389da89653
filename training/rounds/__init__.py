"""Rounds of training: warm-up, collect, train, gate, measure."""
