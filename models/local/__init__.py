"""A transformers model in this process that writes for many callers at once."""
