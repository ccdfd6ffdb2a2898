"""One module for each file format: ``read`` returns the pages, ``write`` returns the file with edited pages.

Unchanged parts are copied from the source's bytes wherever the format allows it.
"""
