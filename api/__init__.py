"""The HTTP API: Flask routes over the ledger and the blob store. It never imports torch.

The modules: ``app.py`` creates the application; ``routes/`` has a module for each resource; ``requests/`` and
``answers/`` are the models of all bodies; ``problems.py`` turns every error into a body; ``exchange.py`` gives each
request its id, its log event and its headers; ``openapi.py`` describes it all, and Swagger UI shows that at ``/docs``;
``server.py`` serves it.
"""
