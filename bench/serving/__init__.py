"""Is serving fast, and is no answer lost: `patlm bench serving`."""
