"""What a summary is worth: components, penalties, the differential reward."""
