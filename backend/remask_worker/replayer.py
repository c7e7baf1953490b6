"""Masks from histories: the model is asked only for the steps that are not remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from remask_core.errors import InputError
from remask_core.history import prompts_of, resume, taken_candidate
from remask_core.lru import ByteLru
from remask_core.types import Candidate, Embedding, Logits, Pause, Prompt, Segmenter
from remask_worker.calls import Call
from remask_worker.lanes import Job
from remask_worker.pixels import decode_prior

__all__ = ["Replayer"]


class _Known(NamedTuple):
    """The logits after some history; a model without logits has None, which is known as well."""

    logits: Logits | None


class Replayer:
    """Computes masks from histories, and remembers the logits after each prefix.

    One more click on an object then costs one decoder call. What is remembered is only a short
    cut: without it the history is replayed from its start, to the same mask.
    """

    def __init__(self, segmenter: Segmenter, *, max_bytes: int) -> None:
        self._segmenter = segmenter
        self._known = ByteLru[bytes, _Known](max_bytes, size_of=_size)

    def predict(self, job: Job, embedding: Embedding, *, pause: Pause) -> Candidate:
        """Return the mask after the job's last step; `pause` is called between its steps.

        Raises:
            InputError: The history is empty, a click lies outside the image, or the prior mask
                does not fit it.
        """
        prompts = _prompts(job.call, embedding)
        done, logits = self._longest(job.keys)
        candidates = resume(
            self._segmenter,
            embedding,
            prompts[done:],
            prior_logits=logits,
            readings=[step.reading for step in job.call.steps[done:]],
        )
        for candidate in candidates:
            done += 1
            self._remember(job.keys[done], candidate)
            if done < len(prompts):
                pause()
        return candidate

    def predict_batch(self, jobs: Sequence[Job], embedding: Embedding) -> list[Candidate]:
        """Return the masks of jobs of one `batch_shape`, from one call of the model.

        Raises:
            InputError: One of the jobs is at fault.
        """
        prompts = [_prompts(job.call, embedding)[0] for job in jobs]
        answers = self._segmenter.predict_batch(embedding, prompts)
        taken = [
            taken_candidate(candidates, job.call.steps[0].reading)
            for job, candidates in zip(jobs, answers, strict=True)
        ]
        for job, candidate in zip(jobs, taken, strict=True):
            self._remember(job.keys[-1], candidate)
        return taken

    def _longest(self, keys: Sequence[bytes]) -> tuple[int, Logits | None]:
        """Return how many steps need not be computed, and the logits after them."""
        for done in range(len(keys) - 2, 0, -1):
            known = self._known.get(keys[done])
            if known is not None:
                return done, known.logits
        return 0, None

    def _remember(self, key: bytes, candidate: Candidate) -> None:
        logits = candidate.logits
        # A view would keep the whole array alive, which is not counted.
        if logits is not None and logits.base is not None:
            logits = logits.copy()
        self._known.put(key, _Known(logits))


def _prompts(call: Call, embedding: Embedding) -> list[Prompt]:
    if not call.steps:
        raise InputError("`steps` must hold at least one step; it is empty")
    prior = call.prior
    mask = None if prior is None else decode_prior(prior, shape_hw=embedding.shape_hw)
    return list(prompts_of(call.steps, prior_mask=mask))


def _size(known: _Known) -> int:
    return 200 + (0 if known.logits is None else known.logits.nbytes)
