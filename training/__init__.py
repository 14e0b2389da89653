"""Training from traces: collection, rewards, data, methods, the trainer, rounds."""
