"""Is it true: arms, controls and floors over benchmarks, metrics and statistics, the report."""
