"""Training of the style encoder on authorship verification."""
