"""Putting operators together in Python: flows, which pipelines and manifests are made of."""
