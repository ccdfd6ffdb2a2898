"""A tenant's accounts: the work of the service by day, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import date

from apiflask import APIBlueprint
from flask import Response

from api import answers, auth, requests
from api.problems import responses
from api.stores import stores
from storage.ledger.tenants.accounts import list_account, today
from storage.records import AccountDay, Scope, Work

blueprint = APIBlueprint("usage", __name__, tag={"name": "Usage", "description": "What the service did, by day."})
auth.protect(blueprint, writes=Scope.SUBMIT)

#: Days before the last one that are read by default.
_DAYS = 30
_COLUMNS = list(answers.UsageDay.model_fields)


@blueprint.get("/v1/usage")
@blueprint.input(requests.UsageQuery, location="query")
@blueprint.output(answers.Usage, description="The days with any work, oldest first, and their sum.")
@blueprint.doc(
    summary="Get the usage by day",
    description=(
        "Images that ended with a result, the megapixels and bytes of their results, and the seconds in which devices "
        "worked on them. An image that is made again counts again. The audit log's entries hold the same numbers."
    ),
)
def index(query_data: requests.UsageQuery) -> answers.Usage:
    since, until, days = _read(query_data)
    return answers.Usage(
        since=since,
        until=until,
        data=[_day(day) for day in days],
        total=answers.Work.of(sum((day.work for day in days), Work())),
    )


@blueprint.get("/v1/usage.csv")
@blueprint.input(requests.UsageQuery, location="query")
@blueprint.doc(
    summary="Get the usage by day as CSV",
    description="As `GET /v1/usage`: a header, and one line for each day with any work.",
    responses=responses(
        also={
            200: {
                "description": "The table.",
                "content": {"text/csv": {"schema": {"type": "string"}}},
            }
        },
    ),
)
def table(query_data: requests.UsageQuery) -> Response:
    since, until, days = _read(query_data)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["day", *(name for name in _COLUMNS if name != "day")])
    writer.writeheader()
    writer.writerows(_day(day).model_dump(mode="json") for day in days)
    headers = {"Content-Disposition": f'attachment; filename="usage-{since}-{until}.csv"'}
    return Response(text.getvalue(), mimetype="text/csv", headers=headers)


def _read(query: requests.UsageQuery) -> tuple[date, date, list[AccountDay]]:
    database = stores().database
    until = query.until or today(database)
    since = query.since or date.fromordinal(max(until.toordinal() - _DAYS, date.min.toordinal()))
    return since, until, list_account(database, auth.tenant(), since, until)


def _day(day: AccountDay) -> answers.UsageDay:
    return answers.UsageDay(day=day.day, **answers.Work.of(day.work).model_dump())
