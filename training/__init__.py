"""Traces become weights: collection, rewards, metrics and trainers belong here."""
