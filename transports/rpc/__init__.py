"""The gRPC door: the services of protos/remotemedia/v1 on engine sessions."""
