"""The program of one device: a Celery process whose child holds the network. ``process`` starts it, ``tasks`` runs."""
