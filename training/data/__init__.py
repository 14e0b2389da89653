"""Prepare training data from episodes."""
