"""Benches: how fast the system is, and how good its encoders, graph and evidence are."""
