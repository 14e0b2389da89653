"""Registry of LoRA adapters: files, manifests, promotions, lineage."""
