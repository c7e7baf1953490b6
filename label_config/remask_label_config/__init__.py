"""Label Studio's XML and JSON: readers into remask's types, and writers from them."""

from __future__ import annotations

from remask_label_config.bodies import (
    PredictRequest,
    SetupRequest,
    WebhookRequest,
    decode_predict,
    decode_setup,
    decode_webhook,
)
from remask_label_config.labelling_config import (
    ConfigProblem,
    LabellingConfig,
    parse_labelling_config,
)

__all__ = [
    "ConfigProblem",
    "LabellingConfig",
    "PredictRequest",
    "SetupRequest",
    "WebhookRequest",
    "decode_predict",
    "decode_setup",
    "decode_webhook",
    "parse_labelling_config",
]
