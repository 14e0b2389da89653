"""The rewards of a summary: components, penalties, the differential reward."""
