"""Read rows out of files of any container: JSON, delimited text, Arrow; packed, in any encoding."""
