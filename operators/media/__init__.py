"""Operators on media files, and on audio and video together."""
