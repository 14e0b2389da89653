"""Several drafts of one prompt, and which of them is kept."""
