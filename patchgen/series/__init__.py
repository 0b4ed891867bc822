"""The patch series: its model, templates, edits, commits."""
