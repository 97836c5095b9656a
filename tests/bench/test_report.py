"""The report of a benchmark run, with invented figures."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bench import chart, plans, report, tables, targets
from bench.peers.launches import FASTAPI
from bench.results import CEILING, FOLDER, PRODUCT, Case, Measurement, Results, Round, load
from bench.workloads import GET

RATES = {PRODUCT: (600.0, 900.0, 700.0), CEILING: (1000.0, 1000.0, 1000.0), FASTAPI: (70.0,) * 3}


def results() -> Results:
    made = Results(
        "test",
        "python -m bench",
        "0123456789abcdef",
        "2026-11-27T00:00:00+00:00",
        {"cores": "2", "architecture": "x86_64", "processor": "any"},
        {"python": "3.11.7", "postgresql": "18.6", "load generator": "wrk 4.1.0"},
    )
    for server, rates in RATES.items():
        case = Case(server, "postgres", GET, 10_000, "analyzed")
        rounds = [Round(rate, 1.0, 2.5, 100.0, 0, 0) for rate in rates]
        made.measurements.append(Measurement(case, "fsync=on", "wrk", rounds))
    return made


def verdicts() -> dict[str, str]:
    return {outcome.figure: outcome.verdict for outcome in targets.outcomes(results())}


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    case = Case(PRODUCT, "postgres", GET, 10_000, "analyzed")
    ceiling = Case(CEILING, "postgres", GET, 10_000, "analyzed")

    assert results().ratio(case, ceiling) == 0.7


def test_a_target_is_met_not_met_or_not_run() -> None:
    found = verdicts()

    assert found["postgres, get: reachbook / ceiling"] == "met"
    assert found["postgres, get: reachbook / FastAPI + SQLAlchemy"] == "met"
    assert found["postgres, get: p99 / p50"] == "met"
    assert found["sqlite, get: reachbook / ceiling"] == "not run"


def test_the_summary_has_the_medians_and_the_chart() -> None:
    summary = report.summary(results())

    assert "| PostgreSQL | get     | 700 " in summary
    assert "(docs/benchmarks.svg)" in summary


def test_the_tables_list_every_server() -> None:
    everything = tables.everything(results())

    assert all(f"| {server} " in everything for server in RATES)


def test_the_chart_is_svg_with_a_bar_for_each_server() -> None:
    root = ET.fromstring(chart.svg(results()))

    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == len(RATES)


def test_the_pages_have_the_figures_of_the_stored_results() -> None:
    """The pages have no figures, or those of full.json and sizes.json in bench/results."""
    file = FOLDER / "full.json"
    saved = load(file) if file.exists() else None
    readme = report.summary(saved) if saved else ""
    page = tables.everything(saved) if saved else ""
    sizes = ""
    if report.SIZES.exists():
        sizes = tables.everything(load(report.SIZES), all_targets=False)

    texts = {report.README: readme, report.PAGE: page, report.SIZES_PAGE: sizes}
    for path, text in texts.items():
        content = path.read_text()
        begin, end = content.index(report.BEGIN) + len(report.BEGIN), content.index(report.END)
        assert content[begin:end].strip() == text


def test_a_plan_gives_each_request_another_value() -> None:
    body = f'{{"channel_id":"{plans.NUMBER}"}}'
    shape = plans.request("POST", f"/{plans.VALUE}", ["a", "b"], body)
    filler = plans.Filler(plans.Plan([shape], ["token"]))

    first, second = filler.next().decode(), filler.next().decode()

    assert {first[6], second[6]} == {"a", "b"}
    head, _, sent = first.partition("\r\n\r\n")
    assert f"Content-Length: {len(sent)}\r\n" in head + "\r\n"
    assert "Authorization: Bearer token\r\n" in head
    assert sent != second.partition("\r\n\r\n")[2]


def test_a_plan_in_lua_escapes_special_characters() -> None:
    shape = plans.Shape(f'a"\\\r\n{plans.TOKEN}', ["v"])

    text = plans.as_lua(plans.Plan([shape], ["t"]))

    assert r'parts={"a\034\092\013\010",3}' in text
