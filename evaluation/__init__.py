"""Measure personalization: arms, controls and floors on benchmarks, metrics, statistics, report."""
