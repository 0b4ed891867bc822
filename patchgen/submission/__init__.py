"""What is handed in: archive, patches, git am, report."""
