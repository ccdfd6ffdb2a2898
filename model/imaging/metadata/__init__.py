"""Metadata: thumbnails that must be renewed, labels of origin, manifests that are kept."""
