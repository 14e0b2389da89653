"""A soak: everything that people do to a store, at once and for a long time."""
