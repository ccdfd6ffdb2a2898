"""From a decoded picture and its mask to the clean picture: ``task`` is the entry point.

``hole`` widens and feathers the mask, ``seam`` hides the fill's border, ``preview`` shows before and after.
"""
