"""Train the user-topic graph and decide whether it serves."""
