"""Train the user-topic graph and decide which form is served."""
