"""Retrieval speed and recall: `patlm bench retrieval`."""
