"""Is retrieval fast and right: `patlm bench retrieval`."""
