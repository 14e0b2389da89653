"""A chat model on a server: its options, faults, retries."""
