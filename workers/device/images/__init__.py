"""A shard of images on its way through a device's process: begin with ``pipeline``."""
