"""Is it true, is it fast: what measures the system (see `bench/loop.py`)."""
