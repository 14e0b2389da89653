"""LoRA adapters that are kept: files, manifests, promotions, lineage."""
