"""What files say about their pictures: thumbnails that must be renewed, labels of origin, manifests that are kept."""
