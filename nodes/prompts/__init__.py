"""The prompts of the loop: `build` fits them into their budget, the folders hold their wording."""
