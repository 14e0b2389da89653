"""Reports and pages: `results.json` and recorded runs as HTML, Markdown and plots."""
