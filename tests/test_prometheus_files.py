"""deploy/prometheus and deploy/grafana ask for metrics and labels that the product has, and for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from jobs.metrics.definitions import BUCKETS, GAUGES, REGISTRY, label_names
from tests.environment import ROOT

PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[a-zA-Z_][\w:]*|\d[\w.]*|[^\s\w]')
_WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}
_OF_PROMETHEUS = {"up"}


def parsed(expression: str) -> tuple[set[str], set[tuple[str, str]], set[str]]:
    """Metrics of a PromQL expression, the labels that are matched of each, and the labels that are grouped by."""
    tokens: list[str] = _TOKEN.findall(expression)
    assert "".join(tokens) == re.sub(r"\s+(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", "", expression), "everything is a token"
    metrics: set[str] = set()
    matched: set[tuple[str, str]] = set()
    grouped: set[str] = set()
    index, metric = 0, ""
    while index < len(tokens):
        token, follows = tokens[index], tokens[index + 1] if index + 1 < len(tokens) else ""
        if token == "{":
            end = tokens.index("}", index)
            names = [i for i in range(index + 1, end) if tokens[i + 1] in ("=", "!") and tokens[i][0].isalpha()]
            matched |= {(metric, tokens[i]) for i in names}
            index = end
        elif token == "[":
            index = tokens.index("]", index)
        elif token in ("by", "without", "on", "ignoring"):
            end = tokens.index(")", index)
            grouped |= {word for word in tokens[index + 2 : end] if word != ","}
            index = end
        elif re.match(r"[a-zA-Z_]", token) and follows not in ("(", "by", "without") and token not in _WORDS:
            metric = token
            metrics.add(metric)
        index += 1
    return metrics, matched, grouped


def exported() -> dict[str, set[str]]:
    """Every sample that /metrics may have, with its labels."""
    found = {name: set(gauge.labels) for name, gauge in GAUGES.items()}
    for metric in REGISTRY.collect():
        labels = set(label_names(metric.name))
        if metric.name in BUCKETS:
            found |= {f"{metric.name}_{end}": labels for end in ("count", "sum")}
            found[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            found[f"{metric.name}_total"] = labels
    return found


def groups(name: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((PROMETHEUS / name).read_text())["groups"]:
        yield from group["rules"]


RECORDED = {rule["record"]: rule["expr"] for rule in groups("rules.yml")}
ALERTS = {rule["alert"]: rule for rule in groups("alerts.yml")}
DASHBOARD = json.loads((GRAFANA / "dashboards" / "mvtec.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {
    **RECORDED,
    **{name: rule["expr"] for name, rule in ALERTS.items()},
    **{f"{panel['title']} {one['refId']}": one["expr"] for panel in PANELS for one in panel["targets"]},
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_what_is_asked_for_is_exported(name: str) -> None:
    metrics, matched, grouped = parsed(EXPRESSIONS[name])
    known = exported()
    assert metrics, "an expression asks for something"
    assert metrics <= known.keys() | RECORDED.keys() | _OF_PROMETHEUS
    for metric, label in matched:
        if metric not in _OF_PROMETHEUS | RECORDED.keys():
            assert label in known[metric], f"{metric} has no label {label}"
    sources = metrics & known.keys()
    if sources:
        assert grouped <= set.union(*(known[metric] for metric in sources))


def test_every_metric_is_asked_for_by_somebody() -> None:
    """What no rule, alert or panel looks at is counted for nobody."""
    asked = {metric for expression in EXPRESSIONS.values() for metric in parsed(expression)[0]}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) if "_seconds_" in name else name for name in exported()}
    assert {name for name in families if not any(metric.startswith(name) for metric in asked)} == set()


def test_the_tokenizer_finds_metrics_labels_and_groups() -> None:
    expression = 'sum by (a, b) (rate(x_total{c="1, {y}", d!~"e|f"}[5m])) / (z:w > 0) and absent(q)'
    assert parsed(expression) == ({"x_total", "z:w", "q"}, {("x_total", "c"), ("x_total", "d")}, {"a", "b"})


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_means_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith((".", "?"))
    labels = set().union(*(exported().get(metric, set()) for metric in parsed(rule["expr"])[0]))
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert shown <= labels


def test_the_docs_list_the_alerts() -> None:
    text = (ROOT / "docs" / "observability.md").read_text().replace("\\|", "|")
    assert re.findall(r"^\| (Mvtec\w+) \| (\w+) \| `(.*)`", text, re.M) == [
        (name, rule["labels"]["severity"], rule["expr"]) for name, rule in ALERTS.items()
    ]


def test_the_dashboard_uses_the_datasource_that_is_provisioned() -> None:
    [source] = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "mvtec.yml").read_text())["providers"]
    assert provider["type"] == "file"
    uids = {panel["datasource"]["uid"] for panel in PANELS}
    uids |= {one["datasource"]["uid"] for panel in PANELS for one in panel["targets"]}
    assert uids == {source["uid"]}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_prometheus_reads_these_rules() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert all((PROMETHEUS / name).is_file() for name in config["rule_files"])
    tested = yaml.safe_load((PROMETHEUS / "tests.yml").read_text())
    assert tested["rule_files"] == config["rule_files"]
    named = {one["alertname"] for test in tested["tests"] for one in test.get("alert_rule_test", [])}
    assert named <= ALERTS.keys()
