"""The whole service in one folder (``service``), and the demo that runs on it."""
