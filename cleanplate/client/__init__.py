"""The Python client of the HTTP API. Begin with ``http`` (the client) and ``job`` (one job in hand)."""
