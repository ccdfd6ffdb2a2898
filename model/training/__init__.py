"""Training by a recipe: ``session.open_run`` is the entry point, ``cleanplate train`` its command."""
