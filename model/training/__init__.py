"""Training by a recipe: ``session.open_run`` is the way in, ``cleanplate train`` its command."""
