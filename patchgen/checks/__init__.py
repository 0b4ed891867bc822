"""What looks at a series or a kernel beside the scenarios."""
