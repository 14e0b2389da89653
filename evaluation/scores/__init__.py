"""From drafts to figures: metrics, statistics, the judge, tables and verdicts."""
