"""Encoders: what a text is about, how it is written, what a user cares about."""
