"""Sessions of browsers and the links that begin them."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from storage.database import Database
from storage.ledger.tenants.sessions import (
    begin_session,
    create_login_link,
    end_session,
    exchange_login_link,
    find_session,
    select_valid,
)
from storage.ledger.tenants.tenants import create_key, ensure_tenant, identify, revoke_key
from storage.records import Caller, Scope
from storage.tables import login_links, sessions
from tests.shop import Clock

HOUR_S = 3600.0


@pytest.fixture
def key(db: Database) -> tuple[str, str]:
    """The id and the secret of a key."""
    made, secret = create_key(db, ensure_tenant(db, "shop"), "page", scopes=[Scope.READ])
    return made.id, secret


def found(db: Database, secret: str) -> Caller:
    """The caller of a valid session."""
    caller = find_session(db, secret)
    assert caller is not None
    return caller


def test_a_session_acts_with_its_key(db: Database, key: tuple[str, str]) -> None:
    caller = found(db, begin_session(db, key[0], lifetime_s=HOUR_S))
    assert (caller.key_id, caller.scopes) == (key[0], frozenset({Scope.READ}))
    assert caller.session_id is not None
    for other in ("", key[1], "x" * 43):
        assert find_session(db, other) is None


def test_the_secrets_are_not_stored(db: Database, key: tuple[str, str]) -> None:
    kept = begin_session(db, key[0], lifetime_s=HOUR_S), create_login_link(db, key[0], lifetime_s=HOUR_S)
    with db.read() as connection:
        stored = str(connection.execute(select(sessions)).all()) + str(connection.execute(select(login_links)).all())
    assert not any(secret in stored for secret in kept)


def test_a_session_ends_by_age_and_its_row_goes_when_another_begins(
    db: Database, clock: Clock, key: tuple[str, str]
) -> None:
    old = begin_session(db, key[0], lifetime_s=HOUR_S)
    clock.advance(HOUR_S - 1)
    found(db, old)
    clock.advance(2)
    assert find_session(db, old) is None
    begin_session(db, key[0], lifetime_s=HOUR_S)
    with db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(sessions)) == 1


def test_a_session_ends_by_signing_out_alone(db: Database, key: tuple[str, str]) -> None:
    ended, other = (begin_session(db, key[0], lifetime_s=HOUR_S) for _ in range(2))
    for _ in range(2):
        end_session(db, ended)
    assert find_session(db, ended) is None
    found(db, other)


def test_the_end_of_its_key_ends_a_session_and_a_link(db: Database, clock: Clock, key: tuple[str, str]) -> None:
    short, _ = create_key(db, ensure_tenant(db, "shop"), "short", expires_in_s=60)
    held = [
        (begin_session(db, key_id, lifetime_s=HOUR_S), create_login_link(db, key_id, lifetime_s=HOUR_S))
        for key_id in (key[0], short.id)
    ]
    revoke_key(db, key[0])
    clock.advance(61)
    for session, link in held:
        assert find_session(db, session) is None
        assert exchange_login_link(db, link, lifetime_s=HOUR_S) is None


def test_a_link_works_once_until_its_time_is_up_or_another_is_made(
    db: Database, clock: Clock, key: tuple[str, str]
) -> None:
    replaced = create_login_link(db, key[0], lifetime_s=HOUR_S)
    link = create_login_link(db, key[0], lifetime_s=HOUR_S)
    assert exchange_login_link(db, replaced, lifetime_s=HOUR_S) is None
    session = exchange_login_link(db, link, lifetime_s=HOUR_S)
    assert session is not None
    assert found(db, session).key_id == key[0]
    assert exchange_login_link(db, link, lifetime_s=HOUR_S) is None
    late = create_login_link(db, key[0], lifetime_s=HOUR_S)
    clock.advance(HOUR_S + 1)
    assert exchange_login_link(db, late, lifetime_s=HOUR_S) is None


def test_only_one_of_many_parallel_uses_of_a_link_gets_a_session(db: Database, key: tuple[str, str]) -> None:
    link = create_login_link(db, key[0], lifetime_s=HOUR_S)
    made: list[str | None] = []
    together = threading.Barrier(8)

    def use() -> None:
        together.wait()
        made.append(exchange_login_link(db, link, lifetime_s=HOUR_S))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(secret is not None for secret in made) == [False] * 7 + [True]


def test_callers_are_told_apart_by_whether_their_key_and_session_hold(
    db: Database, clock: Clock, key: tuple[str, str]
) -> None:
    _, other_secret = create_key(db, ensure_tenant(db, "rival"), "theirs")
    by_key, other = identify(db, key[1]), identify(db, other_secret)
    assert by_key is not None
    assert other is not None
    staying, leaving, old = (begin_session(db, key[0], lifetime_s=seconds) for seconds in (HOUR_S, HOUR_S, 60))
    callers = {by_key, other, *(found(db, secret) for secret in (staying, leaving, old))}
    assert select_valid(db, callers) == callers
    stays = found(db, staying)
    end_session(db, leaving)
    clock.advance(61)
    assert select_valid(db, callers) == {by_key, other, stays}
    revoke_key(db, key[0])
    assert select_valid(db, callers) == {other}
    assert select_valid(db, set()) == set()
