"""How evidence is found: people who write alike, texts of aligned people on a topic."""
