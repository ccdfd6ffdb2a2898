"""The networks, and what loads them: ``weights`` reads a file, ``program`` makes a network ready for a device."""
