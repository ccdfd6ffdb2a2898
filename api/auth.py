"""Who is asking, and what they may: ``Authorization: Bearer cp_…`` becomes a caller with scopes.

Whole blueprints are protected, not single routes, so that a new route cannot be left open by forgetting a decorator:
reading needs the scope ``read``, everything else the scope that the blueprint names.
"""

from __future__ import annotations

from typing import NoReturn

from apiflask import APIBlueprint, HTTPTokenAuth
from flask import g, request

from api.problems import Problem
from api.stores import stores
from storage.ledger.tenants import identify
from storage.records import Caller, Scope

bearer = HTTPTokenAuth(scheme="Bearer", description="An API key, made with `cleanplate keys create`.")


@bearer.verify_token  # type: ignore[untyped-decorator]
def _tenant(secret: str) -> str:
    found = identify(stores().database, secret)
    if found is None:
        raise Problem(
            "key_wrong",
            "This API key is unknown, revoked or expired. Make another with `cleanplate keys create`.",
            headers={"WWW-Authenticate": 'Bearer realm="cleanplate", error="invalid_token"'},
        )
    g.caller = found
    return found.tenant_id


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


def caller() -> Caller:
    """Who makes the current request, on protected routes."""
    found: Caller = g.caller
    return found


def tenant() -> str:
    """The tenant of the current request, on protected routes."""
    return caller().tenant_id


def actor() -> str:
    """The current request's key, as the audit log names it."""
    return f"key:{caller().key_id}"
