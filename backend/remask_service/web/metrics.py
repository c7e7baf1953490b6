"""Metrics of the service, in a registry of the application's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from remask_images.image_store import StoreState
from remask_service.predict.records import AnswerRecord
from remask_service.web.campaign_webhooks import EventsState
from remask_storage.click_log import LogState
from remask_worker.calls import Health

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 90.0)


class Metrics:
    """Counters of one application."""

    def __init__(
        self,
        *,
        health: Callable[[], Health],
        click_log: Callable[[], LogState],
        images: Callable[[], StoreState],
        webhooks: Callable[[], EventsState],
        threads: Callable[[], Mapping[str, bool]],
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "remask_requests", "Requests answered", ["route", "status"], registry=self._registry
        )
        self._request_seconds = Histogram(
            "remask_request_seconds",
            "Time from request to answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._answers = Counter(
            "remask_answers", "Objects answered", ["lane", "outcome"], registry=self._registry
        )
        self._answer_seconds = Histogram(
            "remask_answer_seconds",
            "Time from the arrival of prompts to their mask",
            ["lane"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Snapshots(health, click_log, images, webhooks, threads))

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count one HTTP request."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_answer(self, record: AnswerRecord) -> None:
        """Count one object's answer."""
        self._answers.labels(record.lane, record.outcome).inc()
        self._answer_seconds.labels(record.lane).observe(record.latency_ms / 1000)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Snapshots(Collector):
    """Numbers that other parts keep, read when metrics are asked for."""

    def __init__(
        self,
        health: Callable[[], Health],
        click_log: Callable[[], LogState],
        images: Callable[[], StoreState],
        webhooks: Callable[[], EventsState],
        threads: Callable[[], Mapping[str, bool]],
    ) -> None:
        self._health = health
        self._click_log = click_log
        self._images = images
        self._webhooks = webhooks
        self._threads = threads

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not start the worker."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the numbers of this moment."""
        health, log, images = self._health(), self._click_log(), self._images()
        webhooks = self._webhooks()
        for name, help_text, value in (
            ("remask_ready", "Whether the model answers", float(health.ready)),
            ("remask_embeddings", "Images in the embedding cache", float(health.embeddings)),
            ("remask_embedding_bytes", "Bytes that they take", float(health.embedding_bytes)),
            ("remask_click_log_waiting", "Rows not yet on disk", float(log.waiting)),
            ("remask_click_log_failing", "Whether writing fails now", float(bool(log.trouble))),
            (
                "remask_click_log_aside",
                "Rows set aside in a file",
                float(log.aside),
            ),
            ("remask_webhooks_waiting", "Webhooks not yet read", float(webhooks.waiting)),
            ("remask_images", "Image files in the cache", float(images.files)),
            ("remask_image_bytes", "Bytes that they take", float(images.nbytes)),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        for name, help_text, value in (
            ("remask_worker_restarts", "Workers replaced after a death", float(health.restarts)),
            ("remask_images_embedded", "Images encoded", float(health.embedded)),
            ("remask_click_log_rows", "Rows written", float(log.written)),
            ("remask_click_log_lost", "Rows given up", float(log.lost)),
            ("remask_webhooks_read", "Webhooks read, of campaigns or not", float(webhooks.taken)),
            ("remask_webhooks_refused", "Webhooks passed over", float(webhooks.refused)),
            ("remask_webhooks_dropped", "Webhooks that found no room", float(webhooks.dropped)),
        ):
            yield CounterMetricFamily(name, help_text, value=value)
        queued = GaugeMetricFamily("remask_queued", "Calls waiting", labels=["lane"])
        for lane, depth in health.queued.items():
            queued.add_metric([lane], float(depth))
        yield queued
        alive = GaugeMetricFamily("remask_thread_alive", "Whether it runs", labels=["thread"])
        for thread, lives in self._threads().items():
            alive.add_metric([thread], float(lives))
        yield alive
