"""Where a version came from and what became of it, as one graph."""
