"""What a base is, where it comes from, and worktrees of it."""
