"""Train the style encoder on who wrote what."""
