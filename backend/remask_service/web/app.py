"""The Flask application: the routes for Label Studio and those for operators."""

from __future__ import annotations

import logging
import secrets
import time

import msgspec
from flask import Flask, Response, g, jsonify, request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from structlog.typing import FilteringBoundLogger
from werkzeug.exceptions import ClientDisconnected, HTTPException

from remask_core.errors import InputError, RemaskError, Unavailable
from remask_label_config.bodies import decode_predict, decode_setup, decode_webhook
from remask_label_config.labelling_config import parse_labelling_config
from remask_service.logs import make_log
from remask_service.predict.predictor import Predictor
from remask_service.service import Service
from remask_service.settings import Settings
from remask_service.web.auth import guard
from remask_service.web.failures import failure_response, status_of
from remask_service.web.status_page import status_page
from remask_worker.calls import Engine

__all__ = ["create_app", "service_of"]

_QUIET = frozenset({"health", "ready", "metrics"})
"""Routes that monitors ask all day long: logged at level debug."""


def create_app(
    settings: Settings,
    *,
    engine: Engine | None = None,
    predictor: Predictor | None = None,
    log: FilteringBoundLogger | None = None,
) -> Flask:
    """Return the application; `service_of(app).close()` ends it.

    Args:
        settings: See `Settings`.
        engine: Instead of the supervised child; closed with the application.
        predictor: Instead of the one over the engine.
        log: Instead of one that writes JSON lines to standard error.

    Raises:
        InputError: The state folder or database cannot be used.
    """
    log = log or make_log(settings.log_level)
    service = Service(settings, log=log, engine=engine, predictor=predictor)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_request_mb << 20
    app.extensions["remask"] = service
    _add_label_studio(app, service)
    _add_operations(app, service)
    _add_request_hooks(app, service)
    return app


def service_of(app: Flask) -> Service:
    """Return the parts behind an application of `create_app`."""
    service = app.extensions["remask"]
    assert isinstance(service, Service)
    return service


def _add_label_studio(app: Flask, service: Service) -> None:
    @app.post("/setup")
    def setup() -> Response:
        project = decode_setup(_body())
        parse_labelling_config(project.schema)
        service.note_project(project.project)
        return jsonify({"model_version": service.model_version()})

    @app.post("/predict")
    def predict() -> Response:
        answer = service.predict(decode_predict(_body()))
        return Response(msgspec.json.encode(answer), mimetype="application/json")

    @app.post("/webhook")
    def webhook() -> tuple[Response, int]:
        service.note_webhook(decode_webhook(_body()))
        return jsonify({"status": "accepted"}), 202

    @app.get("/versions")
    def versions() -> Response:
        return jsonify({"versions": [service.model_version()]})


def _body() -> bytes:
    """Return the body of the request.

    Raises:
        InputError: It is not sent as HTTP asks, or does not arrive whole and in time.
    """
    try:
        return request.get_data(cache=False)
    except ClientDisconnected as error:
        raise InputError("`body` must arrive whole and in time; it did not") from error
    except ParseException as error:
        raise InputError(f"`body` must be sent as HTTP asks: {error}") from error


def _add_operations(app: Flask, service: Service) -> None:
    @app.get("/health")
    def health() -> Response:
        now, threads = service.engine.health(), service.threads()
        return jsonify(
            {
                "status": "UP" if all(threads.values()) else "DEGRADED",
                "instance": service.instance,
                "host": service.host,
                "ready": now.ready,
                "state": now.state,
                "detail": now.detail,
                "model": service.settings.model,
                "model_version": now.model_version,
                "restarts": now.restarts,
                "queued": now.queued,
                "threads": threads,
            }
        )

    @app.get("/ready")
    def ready() -> Response:
        now = service.engine.health()
        if now.ready:
            return jsonify({"ready": True})
        raise Unavailable(f"the model is {now.state}: {now.detail}".rstrip(": "), retry_after_s=5.0)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(service.metrics.text(), mimetype="text/plain; version=0.0.4")

    @app.get("/")
    def index() -> str:
        return status_page(service, address=_address_of_caller())


def _address_of_caller() -> str:
    """Return where the caller reached this service, through a proxy with a path prefix, too.

    For people to read and copy; nothing is decided by these headers, which anybody can write.
    """
    headers = request.headers
    scheme = headers.get("X-Forwarded-Proto", request.scheme).split(",")[0].strip()
    host = headers.get("X-Forwarded-Host", request.host).split(",")[0].strip()
    prefix = headers.get("X-Forwarded-Prefix", "").strip("/")
    return f"{scheme}://{host}/{prefix}".rstrip("/")


def _add_request_hooks(app: Flask, service: Service) -> None:
    """Add authentication, the log line, and the answers to errors, to every request."""
    settings, log = service.settings, service.log
    refuse = None
    if settings.basic_auth_user is not None and settings.basic_auth_pass is not None:
        refuse = guard(settings.basic_auth_user, settings.basic_auth_pass, log=log)

    @app.before_request
    def begin() -> Response | None:
        g.began = time.perf_counter()
        return refuse(request) if refuse is not None else None

    @app.after_request
    def note(response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        route = request.endpoint or "unknown"
        service.metrics.count_request(route, response.status_code, seconds)
        log.log(
            logging.DEBUG if route in _QUIET else logging.INFO,
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            latency_ms=round(1000 * seconds, 2),
            received_bytes=request.content_length,
            **g.get("failure", {}),
        )
        return response

    @app.errorhandler(RemaskError)
    def known(error: RemaskError) -> Response:
        g.failure = {"error": error.code, "detail": str(error)}
        service.activity.note_error(error.code, str(error))
        return failure_response(
            status_of(error),
            code=error.code,
            message=str(error),
            retry_after_s=error.retry_after_s if isinstance(error, Unavailable) else 0.0,
        )

    @app.errorhandler(HTTPException)
    def protocol(error: HTTPException) -> Response:
        status = error.code or 500
        g.failure = {"error": "http", "detail": error.name}
        response = failure_response(status, code="http", message=error.description or error.name)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        error_id = secrets.token_hex(8)
        log.error("bug", id=error_id, path=request.path, exc_info=error)
        g.failure = {"error": "bug", "id": error_id}
        return failure_response(
            500,
            code="bug",
            message=f"something went wrong here; the log has more under {error_id}",
            error_id=error_id,
        )
