"""The running backend: its parts, put together once and closed in order."""

from __future__ import annotations

import platform
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from structlog.typing import FilteringBoundLogger

from remask_core.errors import RemaskError
from remask_images.image_source import Images, open_images
from remask_label_config.bodies import PredictRequest, WebhookRequest
from remask_models import registry
from remask_models.automatic_defaults import automatic_settings
from remask_service.activity import Activity
from remask_service.checkup import Checkup
from remask_service.drift_watch import DriftWatch
from remask_service.logs import log_answer
from remask_service.precompute import Background, project_number
from remask_service.predict.click_rows import annotation_events, prompt_rows
from remask_service.predict.predictor import Predictor, PredictResponse
from remask_service.predict.records import AnswerRecord
from remask_service.settings import Settings
from remask_service.web.campaign_webhooks import CampaignEvents
from remask_service.web.metrics import Metrics
from remask_storage.campaign_store import CampaignStore
from remask_storage.click_log import ClickLog
from remask_storage.database import Database
from remask_storage.task_notes import TaskNotes
from remask_worker.calls import Engine, Overloaded
from remask_worker.cluster.engine import RayEngine, check_addresses
from remask_worker.device_engines import engine_for
from remask_worker.settings import WorkerSettings

__all__ = ["Service", "check_model", "open_engine", "worker_settings"]


class Service:
    """Engine, images, predictor, click log, campaigns and metrics of one process.

    Args:
        settings: See `Settings`.
        log: Receives a line for each thing that happens.
        engine: Answers calls; by default the one that the settings describe. Closed
            with the service.
        predictor: By default one over the engine and the settings' image source.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: FilteringBoundLogger,
        engine: Engine | None = None,
        predictor: Predictor | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self.engine: Engine = engine or open_engine(settings)
        # Proxies from the environment would connect where nobody has looked.
        self._client = httpx.Client(
            follow_redirects=False, trust_env=False, verify=httpx.create_ssl_context()
        )
        self._images: Images = open_images(settings, client=self._client, log=log)
        self._store = Database.open(settings.state_place)
        self.click_log = ClickLog(
            self._store, aside=settings.click_log_aside, on_trouble=self._note_trouble
        )
        self._notes = TaskNotes(self._store)
        self.campaigns = CampaignStore.open(settings.campaign_place)
        self.drift_watch = DriftWatch(
            self.campaigns,
            log=log,
            clock=time.monotonic,
            client=self._client,
            alert_url=settings.alert_url,
        )
        self.campaign_events = CampaignEvents(
            self.campaigns, log=log, on_taken=self.drift_watch.look
        )
        self.activity = Activity(clock=time.time)
        self.instance = self._notes.service_id(secrets.token_hex(8))
        self.host = platform.node()
        self.checkup = Checkup(settings, log=log, instance=self.instance)
        self.metrics = Metrics(
            health=self.engine.health,
            click_log=self.click_log.state,
            images=self._images.state,
            webhooks=self.campaign_events.state,
            threads=self.threads,
        )
        self._predictor = predictor or Predictor(
            self.engine,
            self._images,
            clock=time.time,
            new_id=lambda: secrets.token_hex(8),
            on_answer=self._note_answer,
            notes=self._notes,
            automatic=automatic_settings(settings.model) if settings.automatic_masks else None,
        )
        self._background = (
            Background.over(settings, self.engine, self._images, log=log)
            if settings.precompute
            else None
        )
        # A quarter of the threads: whatever is selected in the data manager, clicks find one free.
        self._patient = threading.BoundedSemaphore(settings.threads // 4)
        self._closed = False

    def start(self) -> None:
        """Start loading the model, rather than at the first click, and look at the chain."""
        self.engine.health()
        self.checkup.start()

    def predict(self, request: PredictRequest) -> PredictResponse:
        """Return the predictor's answer.

        Raises:
            Overloaded: Nobody draws, and too many such requests are under way already.
            InputError: See `Predictor.predict`.
        """
        if request.context is not None:
            try:
                return self._predictor.predict(request)
            finally:
                # A host that is killed after this answer leaves no click behind unwritten, and
                # another host that gets the next click can read of this one.
                self.click_log.settle()
        with self._patiently(), self.activity.batch(request.project_id, len(request.tasks)):
            return self._predictor.predict(request)

    def note_project(self, named: str | int | None) -> None:
        """A page of this project was opened: have its images encoded, if that is set."""
        number = project_number(named)
        if self._background is not None and number is not None:
            self._background.note(number)

    def note_webhook(self, event: WebhookRequest) -> None:
        """Pass an event about annotations on to the click log and to campaigns."""
        self.click_log.add(annotation_events(event, received_at=time.time()))
        self.campaign_events.add(event)
        self.click_log.settle()

    def note_failure(self, error: RemaskError) -> None:
        """Show a request that could not be answered at all, in the log and on the status page."""
        self.log.warning("request failed", error=error.code, detail=str(error))
        self.activity.note_error(error.code, str(error))

    def model_version(self) -> str:
        """Return the worker's model version, or the model's name until the worker has loaded it."""
        return self.engine.health().model_version or self.settings.model

    def threads(self) -> dict[str, bool]:
        """Return whether each thread that must live as long as the service is alive."""
        return {
            "campaign-events": self.campaign_events.state().alive,
            "click-log": self.click_log.state().alive,
        }

    def close(self) -> None:
        """Stop the worker, write what the click log holds, and close everything."""
        if self._closed:
            return
        self._closed = True
        self.checkup.close()
        if self._background is not None:
            self._background.close()
        self.engine.close()
        self.click_log.close()
        self._notes.close()
        self.campaign_events.close()
        self._store.close()
        self._client.close()

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        if not self._patient.acquire(blocking=False):
            raise Overloaded(
                "too many requests for predictions that nobody waits for are under way",
                retry_after_s=10.0,
            )
        try:
            yield
        finally:
            self._patient.release()

    def _note_answer(self, record: AnswerRecord) -> None:
        log_answer(self.log, record)
        self.metrics.count_answer(record)
        self.activity.note(record)
        self.click_log.add(prompt_rows(record))

    def _note_trouble(self, sentence: str) -> None:
        if sentence:
            self.log.error("click log in trouble", why=sentence)
        else:
            self.log.info("click log writes again")


def open_engine(settings: Settings) -> Engine:
    """Return the engine that the settings describe: children of this process, or a cluster.

    Nothing is started before its first use.
    """
    if settings.engine == "ray":
        assert settings.ray_address is not None
        return RayEngine(check_addresses(settings.ray_address))
    return engine_for(worker_settings(settings))


def check_model(settings: Settings) -> None:
    """Check that the engine's model can be loaded here, without loading it.

    A worker would try to load what is missing again and again. A cluster's machines check their
    own when they start.

    Raises:
        InputError: The model is unknown, or needs what is not installed.
        NotFound: Its weights are not there.
    """
    if settings.engine != "ray":
        registry.check(
            settings.model,
            weights=settings.weights,
            device=settings.device,
            model_dir=settings.model_dir,
        )


def worker_settings(settings: Settings) -> WorkerSettings:
    """Return the worker's part of the service's settings."""
    return WorkerSettings(
        model=settings.model,
        weights=None if settings.weights is None else str(settings.weights),
        model_dir=None if settings.model_dir is None else str(settings.model_dir),
        device=settings.device,
        threads=settings.model_threads,
        cache_bytes=settings.cache_mb << 20,
        spill_dir=str(settings.state_dir / "embeddings") if settings.spill_mb else None,
        spill_bytes=settings.spill_mb << 20,
        max_pixels=settings.max_image_pixels,
    )
