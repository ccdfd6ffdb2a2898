"""What users touch: settings, the command line (``cli``), the Python client (``client``)."""
