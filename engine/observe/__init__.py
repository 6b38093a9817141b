"""What a running plan shows of itself: counts, and later hooks."""
