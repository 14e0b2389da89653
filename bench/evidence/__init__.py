"""Is the right evidence taken: `patlm bench evidence`."""
