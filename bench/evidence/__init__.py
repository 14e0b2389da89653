"""Quality of retrieved evidence: `patlm bench evidence`."""
