"""A local transformers model that serves many callers concurrently."""
