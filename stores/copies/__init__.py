"""Copies of texts outside the store: the list of where they are, and what finds them there."""
