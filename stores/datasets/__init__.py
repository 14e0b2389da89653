"""Files of texts: formats, validation, cleaning, ingest, splits, the sample corpus."""
