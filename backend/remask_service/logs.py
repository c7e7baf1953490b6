"""Structured logs: one JSON object per line on standard error, without secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from remask_service.predict.records import AnswerRecord

__all__ = ["gunicorn_logging", "log_answer", "make_log"]

_COMMON: list[Any] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
]


def make_log(level: str, *, stream: TextIO | None = None) -> FilteringBoundLogger:
    """Return a logger that writes lines of `level` and above to `stream` (standard error)."""
    return cast(
        FilteringBoundLogger,
        structlog.wrap_logger(
            structlog.WriteLogger(stream or sys.stderr),
            processors=[
                *_COMMON,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        ),
    )


def log_answer(log: FilteringBoundLogger, record: AnswerRecord) -> None:
    """Write one line on what became of one object's prompts."""
    log.log(
        logging.INFO if record.outcome in ("answered", "empty") else logging.WARNING,
        "answer",
        answer_id=record.answer_id,
        arrived=record.time,
        project=record.project,
        task=record.task,
        item_index=record.item_index,
        region=record.region,
        prompts=[prompt.id for prompt in record.prompts],
        lane=record.lane,
        outcome=record.outcome,
        model_version=record.model_version,
        score=record.score,
        latency_ms=round(record.latency_ms, 2),
        model_ms=round(record.model_ms, 2),
        **({"error": record.error, "detail": record.detail} if record.error else {}),
    )


def gunicorn_logging(level: str) -> dict[str, Any]:
    """Return gunicorn's logging configuration that makes its own lines look like ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _COMMON,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": ["stderr"], "propagate": False},
            "gunicorn.access": {"level": "ERROR", "handlers": ["stderr"], "propagate": False},
        },
    }
