"""Turns ``Authorization: Bearer cp_…`` or a session into a caller with scopes.

The web page sends its session, which stands for a key; a request that changes something also needs the page's token.
Nothing else gives rights: not the address a request comes from, nor the host it names.
Whole blueprints are protected, not single routes, so that a new route cannot be left open by forgetting a decorator:
reading needs the scope ``read``, everything else the scope that the blueprint names.
"""

from __future__ import annotations

from typing import NoReturn

from apiflask import APIBlueprint, APIFlask, HTTPTokenAuth
from flask import g, request
from werkzeug.datastructures import Authorization

from api.problems import Problem
from api.stores import stores
from api.web import csrf, session
from storage.ledger.tenants.tenants import identify, list_tenants
from storage.records import Caller, Scope


class _KeyOrSession(HTTPTokenAuth):
    """The key in the header, or where there is no such header, the key that the session stands for."""

    def authenticate(self, auth: Authorization | None, stored_password: str | None) -> str | None:
        caller = identified()
        if caller is None:
            if getattr(auth, "token", None):
                raise key_ended()
            return None
        if caller.session_id is not None:
            csrf.check()
        return act_as(caller)


bearer = _KeyOrSession(scheme="Bearer", description="An API key, made with `cleanplate keys create`.")


def register(app: APIFlask) -> None:
    """Ask the ledger who makes each request under /v1, before it is counted."""

    @app.before_request
    def ask_who_it_is() -> None:
        if request.path.startswith("/v1/"):
            identified()


def identified() -> Caller | None:
    """The caller of the current request, by a valid key or session. The ledger is read once per request.

    Rights come from :func:`protect`, which also checks that a session's request is the page's own.
    """
    if "identified" not in g:
        g.identified = _identify()
    caller: Caller | None = g.identified
    return caller


def _identify() -> Caller | None:
    if "Authorization" not in request.headers:
        return session.caller()
    secret = getattr(bearer.get_auth(), "token", None)
    return identify(stores().database, secret) if secret else None


def key_ended() -> Problem:
    """The answer to a key, or a session, that does not hold or no longer holds."""
    return Problem(
        "key_wrong",
        "This API key is unknown, revoked or expired. Make another with `cleanplate keys create`.",
        headers={"WWW-Authenticate": 'Bearer realm="cleanplate", error="invalid_token"'},
    )


@bearer.error_handler  # type: ignore[untyped-decorator]
def _without_a_key(_status: int) -> NoReturn:
    raise Problem(
        "key_missing",
        "Send the API key in the header `Authorization: Bearer cp_…`.",
        headers={"WWW-Authenticate": 'Bearer realm="cleanplate"'},
    )


def protect(blueprint: APIBlueprint, *, writes: Scope) -> None:
    """Let only requests with a valid key reach the routes of ``blueprint``; ``writes`` is what changes need."""

    @blueprint.before_request
    @blueprint.auth_required(bearer)
    def only_with_a_key() -> None:
        if request.method == "OPTIONS":
            return  # Flask answers by itself, with the methods that the address takes
        needed = Scope.READ if request.method in {"GET", "HEAD"} else writes
        if needed not in caller().scopes:
            raise Problem(
                "scope_missing",
                f"This API key may not do this: it needs the scope {needed}. "
                f"Make one with `cleanplate keys create --scope {needed}`.",
                headers={
                    "WWW-Authenticate": f'Bearer realm="cleanplate", error="insufficient_scope", scope="{needed}"'
                },
            )


def act_as(identity: Caller) -> str:
    """Let the rest of the current request be this caller's; returns the tenant."""
    g.caller = identity
    return identity.tenant_id


def caller() -> Caller:
    """The caller of the current request, on protected routes."""
    current: Caller = g.caller
    return current


def tenant() -> str:
    """The tenant of the current request, on protected routes."""
    return caller().tenant_id


def actor() -> str:
    """The current request's key, as the audit log names it."""
    return f"key:{caller().key_id}"


def operates() -> bool:
    """Whether the current request's tenant runs the service: its keys with the scope ``admin`` see all tenants."""
    backend = stores()
    own = [name for key, name in list_tenants(backend.database) if key == tenant()]
    return any(name in backend.settings.operator_tenants for name in own)
