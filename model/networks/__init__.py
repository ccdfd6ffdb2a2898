"""The networks: ``weights`` reads one from a file, ``program`` prepares it for a device."""
