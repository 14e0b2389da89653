"""Collect episodes: draw candidate summaries, replay integrate, reward what comes of them."""
