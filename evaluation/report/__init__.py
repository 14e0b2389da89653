"""Reports: `results.json` and recorded runs as HTML, Markdown and plots."""
