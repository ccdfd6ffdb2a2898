"""A shard of images on its way through a device: begin with ``pipeline``."""
