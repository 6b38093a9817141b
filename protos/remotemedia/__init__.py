"""See `protos`."""
