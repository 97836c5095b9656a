"""Every query of the Grafana dashboard is checked against the metrics of /metrics."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.personas import Api

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy/grafana.json").read_text())
LABELS_OF_THE_SCRAPE = {"instance", "job"}
FUNCTIONS = {"sum", "rate", "histogram_quantile", "by", "label_values", "or", "vector"}
Exposed = dict[str, list[dict[str, str]]]


async def exposed(api: Api) -> Exposed:
    """Return every sample of /metrics with its labels, after requests of several kinds."""
    uuid = await api.contact(("phone", "15105553344"))
    token = api.bob.by_jwt()
    for path in (f"/v2/contact/{uuid}/channels", "/v1/team", "/nothing", "/healthz", "/readyz"):
        await api.request("GET", path, by=token)
    await api.request("GET", "/metrics", by={})
    metrics = api.app.state.state.metrics
    metrics.request("GET", "/v1/team", 503, 0.1)
    found: Exposed = defaultdict(list)
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


def queries() -> list[tuple[str, str]]:
    """Return each query of the dashboard with its legend."""
    shown = [
        (target["expr"], target["legendFormat"])
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    ]
    of_variables = [
        (variable["query"]["query"], "")
        for variable in DASHBOARD["templating"]["list"]
        if variable["type"] == "query"
    ]
    assert shown
    assert of_variables
    return shown + of_variables


def query_faults(query: str, legend: str, known: Exposed) -> Iterator[str]:
    """Yield the faults of a query: names, labels and values that are not in /metrics."""
    if query.count("(") != query.count(")") or query.count("{") != query.count("}"):
        yield "brackets do not match"
    yield from (
        f"{function}() is new"
        for function in re.findall(r"(\w+) ?\(", query)
        if function not in FUNCTIONS
    )
    named = re.findall(r"(reachbook_\w+)(?:\{([^}]*)\})?(\[)?", query)
    labels = {label for name, _, _ in named for sample in known.get(name, []) for label in sample}
    for name, matchers, rate in named:
        if name not in known:
            yield f"{name} is not shown"
        elif name.endswith(("_total", "_bucket", "_sum", "_count")) != bool(rate):
            yield f"{name} is a counter without a rate, or a gauge with one"
        for matcher in re.findall(r"(\w+)(=~|!~|!=|=)\"([^\"]*)\"", matchers):
            yield from _matcher_faults(matcher, known.get(name, []))
    for group in re.findall(r"by \(([^)]*)\)", query):
        wanted = set(group.split(", "))
        yield from (f"{label} is no label" for label in wanted - labels - LABELS_OF_THE_SCRAPE)
        legends = set(re.findall(r"\{\{(\w+)\}\}", legend))
        yield from (f"the legend names {label}" for label in legends - wanted)


def _matcher_faults(matcher: tuple[str, str, str], samples: list[dict[str, str]]) -> Iterator[str]:
    """Yield a fault for each value of a matcher that no sample has."""
    label, compare, value = matcher
    if label in LABELS_OF_THE_SCRAPE:
        return
    values = {sample[label] for sample in samples if label in sample}
    wanted = value.split("|") if "~" in compare else [re.escape(value)]
    for pattern in wanted:
        if not any(re.fullmatch(pattern, present) for present in values):
            yield f"no sample has {label} {pattern}"


@pytest.mark.anyio
async def test_the_queries_of_the_dashboard_have_no_faults(api: Api) -> None:
    known = await exposed(api)

    faults = [
        f"{query}: {fault}"
        for query, legend in queries()
        for fault in query_faults(query, legend, known)
    ]

    assert faults == []


@pytest.mark.anyio
async def test_the_dashboard_shows_every_metric(api: Api) -> None:
    queried = {name for query, _ in queries() for name in re.findall(r"reachbook_\w+", query)}

    assert set(await exposed(api)) - queried == set()


WRONG_QUERIES = [
    ("sum(rate(reachbook_request_total[5m]))", "", "reachbook_request_total is not shown"),
    ("sum(reachbook_requests_total)", "", "reachbook_requests_total is a counter"),
    ("sum(rate(reachbook_workers[5m]))", "", "reachbook_workers is a counter without"),
    ('sum(rate(reachbook_requests_total{path="x"}[5m]))', "", "no sample has path x"),
    ('sum(rate(reachbook_tokens_total{known="true"}[5m]))', "", "no sample has known true"),
    ("sum by (team) (reachbook_workers)", "", "team is no label"),
    ("sum by (version) (reachbook_workers)", "{{release}}", "the legend names release"),
    ("sum((reachbook_workers)", "", "brackets do not match"),
    ("avrg(reachbook_workers)", "", "avrg() is new"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_wrong_query_is_reported(api: Api) -> None:
    known = await exposed(api)
    for query, legend, fault in WRONG_QUERIES:
        assert fault in "\n".join(query_faults(query, legend, known)), query
