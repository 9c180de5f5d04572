"""A gauge that is read when somebody asks: what is not there any more, a partition of another worker, is not shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

#: Values of labels, and the value that they have.
Reading = tuple[Sequence[str], float]
Source = Callable[[], Iterable[Reading]]


class ReadGauge(Collector):
    """A gauge whose values come from sources, which come and go.

    Args:
        name: Its name.
        documentation: What it is.
        labels: The names of its labels.
        registry: Where it is shown.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry = REGISTRY
    ) -> None:
        self.name, self.documentation, self.labels = name, documentation, tuple(labels)
        self._sources: list[Source] = []
        registry.register(self)

    @contextmanager
    def read_from(self, source: Source) -> Iterator[None]:
        """Show what a source says, as long as the context lasts."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read all sources."""
        family = GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
        for source in list(self._sources):
            try:
                readings = list(source())
            except Exception as error:
                # What it reads may be changing just now; all other figures are to be had.
                log.warning("%s cannot be read: %r", self.name, error)
                continue
            for labels, value in readings:
                family.add_metric(labels, value)
        yield family

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Say what it is, without reading it."""
        yield GaugeMetricFamily(self.name, self.documentation, labels=self.labels)
