"""Train the adapter of one role with TRL and add it to the registry."""
