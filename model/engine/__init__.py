"""Tiles through a device: ``plan`` says which, ``engine`` batches them, ``inpainter`` lays results into pictures."""
