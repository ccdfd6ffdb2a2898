"""The HTTP API: Flask routes over the ledger and the blob store. It never imports torch.

The way through: ``app.py`` puts it together; ``routes/`` has a module for each kind of thing; ``requests.py`` and
``answers.py`` say what goes over the wire; ``problems.py`` turns every error into a body; ``exchange.py`` gives each
request its id, its log event and its headers; ``openapi.py`` describes it all, and Swagger UI shows that at ``/docs``;
``server.py`` serves it.
"""
