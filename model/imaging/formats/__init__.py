"""One module for each file format: ``read`` gives its pages, ``write`` gives the file back with pages edited.

What a page did not change is taken from the source's own bytes wherever the format allows it.
"""
