"""Training methods: DPO, GRPO, SFT."""
