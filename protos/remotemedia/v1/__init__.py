"""Version 1 of the wire; `*_pb2*` are generated, never edited."""
