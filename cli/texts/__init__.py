"""Commands that fill, change and describe a store of texts."""
