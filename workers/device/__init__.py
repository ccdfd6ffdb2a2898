"""The device's program: a Celery process whose child holds the network. ``process`` starts it, ``tasks`` runs."""
