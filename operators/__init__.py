"""What nodes do: one operator per file."""
