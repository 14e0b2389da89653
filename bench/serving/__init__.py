"""Serving speed: `patlm bench serving`."""
