"""Collect episodes: draw candidate summaries, replay integrate, compute rewards."""
