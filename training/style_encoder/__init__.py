"""Train the style encoder on authorship verification."""
