"""Train one role's adapter with TRL and register it."""
