"""The cache of embeddings: memory in front, optionally a folder behind it."""

from __future__ import annotations

from pathlib import Path

from remask_core.lru import ByteLru
from remask_core.types import Embedding
from remask_worker.embedding_files import EmbeddingFolder, rounded

__all__ = ["EmbeddingCache"]


class EmbeddingCache:
    """Embeddings of one model by image id, bounded in bytes in memory and on disk."""

    def __init__(
        self, *, max_bytes: int, spill_dir: Path | None, spill_bytes: int, model_version: str
    ) -> None:
        self._memory = ByteLru[str, Embedding](
            max_bytes, size_of=lambda embedding: embedding.nbytes
        )
        self._spill = (
            None
            if spill_dir is None
            else EmbeddingFolder(spill_dir, max_bytes=spill_bytes, model_version=model_version)
        )

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def nbytes(self) -> int:
        """Bytes taken in memory."""
        return self._memory.nbytes

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._memory or (self._spill is not None and image_id in self._spill)

    def get(self, image_id: str) -> Embedding | None:
        """Return the embedding, from disk if need be; None if it must be computed."""
        embedding = self._memory.get(image_id)
        if embedding is None and self._spill is not None:
            embedding = self._spill.read(image_id)
            if embedding is not None:
                self._memory.put(image_id, embedding)
        return embedding

    def put(self, image_id: str, embedding: Embedding) -> None:
        """Keep a new embedding.

        It goes to disk now, not when memory drops it, because it shall outlive a worker that is
        killed. Where there is a folder, memory holds what the folder does: numbers of half
        precision, so that no answer depends on where an embedding came from.
        """
        if self._spill is None:
            self._memory.put(image_id, embedding)
            return
        embedding = rounded(embedding)
        self._memory.put(image_id, embedding)
        self._spill.write_later(image_id, embedding)

    def keep(self, image_id: str, embedding: Embedding) -> None:
        """Have the embedding on disk when this returns, if there is a folder. Any thread."""
        if self._spill is not None and image_id not in self._spill:
            self._spill.write(image_id, rounded(embedding))

    def close(self) -> None:
        """Finish what is being written."""
        if self._spill is not None:
            self._spill.close()
