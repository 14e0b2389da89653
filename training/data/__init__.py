"""From episodes to rows that a trainer learns from."""
