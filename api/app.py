"""The Flask application: ``create_app(settings)`` puts the parts together; stores are opened by the first request."""

from __future__ import annotations

from typing import cast

from apiflask import APIFlask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter

from api import auth, bodies, compression, concurrency, exchange, limits, openapi, problems
from api.bodies import StrictJson, StrictRequest
from api.routes import BLUEPRINTS
from api.stores import Stores
from api.under_path import UnderPath, path_below
from api.web import failures, session, texts
from cleanplate.base.settings import Settings

#: Text parts of a form are held in memory; the only long one is ``options``. The form parser counts against it also
#: what it has read of a file and not written yet, 64 KiB at a time and a rest: well above that, or files are refused.
MAX_TEXT_PART_BYTES = 256 * 1024


class _IdConverter(BaseConverter):
    """Ids in paths. Any other text does not match a route."""

    regex = "[A-Za-z0-9_-]{1,40}"


class _Api(APIFlask):
    json_provider_class = StrictJson
    request_class = StrictRequest

    @property
    def secret_key(self) -> str:  # type: ignore[override]
        """Signs sessions. Read only when a session is read or written."""
        return cast(Stores, self.extensions["cleanplate"]).secret


def create_app(settings: Settings) -> APIFlask:
    """The API of these settings."""
    app = _Api("api", title="Cleanplate", version="1", json_errors=False, docs_path=None, spec_path="/openapi.json")
    app.config.update(
        PUBLIC_URL=settings.public_url.rstrip("/"),
        MAX_CONTENT_LENGTH=settings.max_request_bytes,
        MAX_FORM_MEMORY_SIZE=MAX_TEXT_PART_BYTES,
        # Well above the parts of a valid form, so that too many pictures get their own error.
        MAX_FORM_PARTS=max(1000, 3 * settings.max_inline_images),
    )
    app.url_map.converters["id"] = _IdConverter
    app.extensions["cleanplate"] = Stores(settings)
    exchange.register(app)
    compression.register(app)
    problems.register(app, page_for=failures.page_for)
    session.register(app)
    texts.register(app)
    bodies.register(app)
    auth.register(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    limits.register(app, settings)
    openapi.register(app)
    concurrency.register(
        app, working=settings.api_threads, waiting=settings.api_streams, sending=settings.api_downloads
    )
    if settings.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.proxies, x_proto=0, x_host=0, x_port=0, x_prefix=0
        )
    if path := path_below(settings.public_url):
        app.wsgi_app = UnderPath(app.wsgi_app, path)  # type: ignore[method-assign]
    return app
