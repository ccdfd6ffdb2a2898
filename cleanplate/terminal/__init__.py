"""Shared parts of the commands that talk to a service: connection, submission with progress, review, tables."""
