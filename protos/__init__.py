"""The wire of RemoteMedia: definitions, and the code generated from them by `make gen`."""
