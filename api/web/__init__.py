"""The web page: Jinja templates and small ES modules over the public /v1 API.

``session`` identifies the person at the browser, ``csrf`` checks that a request came from the page, ``pages`` makes
blueprints of pages, ``texts`` holds the languages. Scripts and styles are in ``api/static/web``, templates in
``api/templates/web``.
"""
