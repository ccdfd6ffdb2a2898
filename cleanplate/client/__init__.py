"""The Python client of the HTTP API. Begin with ``http`` (the client) and ``job`` (a handle on one job)."""
