"""Metadata: renewed thumbnails, labels of origin, and manifests."""
