"""From a decoded picture and its mask to the clean picture: ``task`` is the way through.

``hole`` widens and feathers the mask, ``seam`` hides the fill's border, ``preview`` shows before and after.
"""
