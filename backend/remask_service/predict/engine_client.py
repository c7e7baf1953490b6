"""The service's side of the engine: several calls at once, and a memory of recent answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from remask_core.errors import RemaskError
from remask_core.lru import ByteLru
from remask_core.rle_ls import decode_ls_rle
from remask_label_config.region_masks import decode_mask_png
from remask_service.predict.ownership import Footprint
from remask_worker.calls import Answer, Call, CallKey, Engine, call_key, wait_for

__all__ = ["EngineClient"]


class EngineClient:
    """An engine with a short memory of its answers and of what they cover. Safe for threads."""

    def __init__(
        self, engine: Engine, *, clock: Callable[[], float], recall_bytes: int = 128 * 2**20
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._answers = ByteLru[CallKey, Answer](
            recall_bytes // 2, size_of=lambda answer: len(answer.mask) + 1024
        )
        self._footprints = ByteLru[tuple[object, ...], Footprint](
            recall_bytes // 2, size_of=lambda footprint: footprint.inside.nbytes + 512
        )

    def recalled(self, call: Call) -> Answer | None:
        """Return the answer to an equal call, if it is remembered."""
        return self._answers.get(call_key(call))

    def request(self, calls: Sequence[Call]) -> list[Answer | RemaskError]:
        """Return an answer or what became of it for each call; all of them are worked on at once.

        A remembered answer reports no model time.
        """
        waiting: list[Answer | Future[Answer]] = []
        for call in calls:
            known = self.recalled(call)
            waiting.append(self._engine.submit(call) if known is None else known)
        outcomes: list[Answer | RemaskError] = []
        for call, pending in zip(calls, waiting, strict=True):
            if isinstance(pending, Answer):
                outcomes.append(pending)
                continue
            try:
                answer = wait_for(pending, timeout_s=call.deadline - self._clock())
            except RemaskError as error:
                outcomes.append(error)
            else:
                self._answers.put(call_key(call), answer)
                outcomes.append(answer)
        return outcomes

    def known_footprint(self, call: Call) -> Footprint | None:
        """Return where the mask of the answer to `call` lies, if that is remembered."""
        return self._footprints.get(("answer", *call_key(call)))

    def footprint(self, call: Call, answer: Answer) -> Footprint:
        """Return where the mask of an answer to `call` lies."""
        key = ("answer", *call_key(call))
        known = self._footprints.get(key)
        if known is not None:
            return known
        if call.encoding == "png":
            mask = decode_mask_png(answer.mask, shape_hw=answer.shape_hw)
        else:
            mask = decode_ls_rle(answer.mask, shape_hw=answer.shape_hw)
        return self._keep(key, Footprint.of(mask))

    def prior_footprint(
        self, ls_rle: bytes, *, digest: str, shape_hw: tuple[int, int]
    ) -> Footprint:
        """Return where a mask lies that came with the task."""
        key = ("prior", digest, shape_hw)
        known = self._footprints.get(key)
        if known is not None:
            return known
        return self._keep(key, Footprint.of(decode_ls_rle(ls_rle, shape_hw=shape_hw)))

    def _keep(self, key: tuple[object, ...], footprint: Footprint) -> Footprint:
        self._footprints.put(key, footprint)
        return footprint
