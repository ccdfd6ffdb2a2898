"""A template on its way through a process: leased, made, settled."""
