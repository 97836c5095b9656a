"""Parses pages of metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str) -> dict[str, float]:
    """Return the value of each sample, by its name and labels as they are written."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(labels: dict[str, str]) -> str:
    written = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{written}}}" if written else ""
