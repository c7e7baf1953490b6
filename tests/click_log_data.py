"""A click in live labelling, and the annotation that it was submitted with, as the log has them."""

from __future__ import annotations

from remask_storage.click_rows import AnnotationEvent, PromptRow

CLICK = PromptRow(
    project="2",
    task=33,
    prompt_id="ZbvQfKcKaR",
    kind="click",
    positive=True,
    x=160.0,
    y=168.0,
    x1=None,
    y1=None,
    label="Cat",
    item_index=None,
    position=0,
    step=0,
    lane="click",
    arrived_at=1795198636.36,
    region_id="mask_1",
    outcome="answered",
    error_code=None,
    model_version="toy@0",
    score=0.5,
    latency_ms=12.0,
    model_ms=10.0,
)
SUBMITTED = AnnotationEvent(
    annotation_id=31,
    project="2",
    task=33,
    outcome="submitted",
    completed_by=1,
    lead_time_s=12.3,
    updated_at=1795198646.0,
    received_at=1795198646.1,
    regions=(("mask_1", "brushlabels"), ("ZbvQfKcKaR", "keypointlabels")),
)
