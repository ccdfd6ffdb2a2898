"""The web page: Jinja templates and small ES modules over the public /v1 API.

``session`` says who sits at the browser, ``csrf`` that a request came from the page, ``pages`` makes blueprints of
pages, ``texts`` holds the languages. Scripts and styles are in ``api/static/web``, templates in ``api/templates/web``.
"""
