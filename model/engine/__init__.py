"""Tiles through a device: ``plan`` chooses them, ``engine`` batches them, ``inpainter`` lays results into pictures."""
