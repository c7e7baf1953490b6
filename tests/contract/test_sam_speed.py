"""What makes Segment Anything fast on a GPU, checked for equal answers on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tiny_sam import TINY_ARCH, build_tiny_sam

from remask_core.types import Box, Click, Embedding, Prompt, RgbImage
from remask_models.sam.attention import fuse_attention
from remask_models.sam.frames import packed, unpack_bits
from remask_models.sam.segment_anything import SamSegmenter

PROMPT = Prompt((Click(20, 30, True),), box=Box(5, 5, 70, 60))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scene(seed: int = 0) -> RgbImage:
    return np.random.default_rng(seed).integers(0, 256, (80, 96, 3), dtype=np.uint8)


def sam(**options: object) -> SamSegmenter:
    network = build_tiny_sam(TINY_ARCH, seed=2)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, parameter in network.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:  # zero in a fresh network
                parameter.normal_()
    return SamSegmenter(network, name="tiny", version="tiny@0", **options)  # type: ignore[arg-type]


def test_fused_attention_is_the_authors() -> None:
    """In windows, padded windows, and a global block whose positions must be stretched."""
    plain = sam()._sam.image_encoder
    fused = sam()._sam.image_encoder
    block = fused.blocks[TINY_ARCH["global_attn_indexes"][0]]
    for encoder in (plain, fused):
        attention = encoder.blocks[TINY_ARCH["global_attn_indexes"][0]].attn
        shorter = attention.rel_pos_h[:9].detach().clone()
        attention.rel_pos_h = torch.nn.Parameter(shorter)
    fuse_attention(fused.blocks)
    pixels = torch.randn(2, 3, 128, 128)

    with torch.inference_mode():
        expected, found = plain(pixels), fused(pixels)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert expected.std() > 0.1
    assert type(block.attn).__name__ == "FusedAttention"


def test_a_fused_segmenter_answers_as_a_plain_one() -> None:
    plain, fused = sam(), sam(fused=True)

    expected = plain.predict(plain.embed(scene()), PROMPT)[0]
    found = fused.predict(fused.embed(scene()), PROMPT)[0]

    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    assert found.score == pytest.approx(expected.score, abs=1e-4)


def test_half_precision_in_the_encoder_stays_out_of_the_decoder() -> None:
    """A click that is answered in a pause of the encoder has the answer that it has outside."""
    half = sam(autocast=torch.bfloat16)
    embedding = half.embed(scene(1))
    outside = half.predict(embedding, PROMPT)[0]
    inside: list[np.ndarray | None] = []

    half.embed(scene(), pause=lambda: inside.append(half.predict(embedding, PROMPT)[0].logits))

    assert len(inside) == TINY_ARCH["depth"]
    for logits in inside:
        np.testing.assert_array_equal(outside.logits, logits)
    exact = sam().embed(scene(1)).arrays["features"]
    off = np.abs(embedding.arrays["features"] - exact).mean() / exact.std()
    assert 0 < off < 0.05


def test_embeddings_on_the_device_answer_as_uploaded_ones() -> None:
    keeps = sam(device_cache_bytes=1 << 20)
    embedding = keeps.embed(scene())
    copied = Embedding(
        embedding.shape_hw, {key: array.copy() for key, array in embedding.arrays.items()}
    )

    assert len(keeps._on_device) == 1
    first = keeps.predict(embedding, PROMPT)[0]
    second = keeps.predict(copied, PROMPT)[0]

    np.testing.assert_array_equal(first.logits, second.logits)
    assert len(keeps._on_device) == 2


def test_the_device_never_holds_more_than_its_bound() -> None:
    size = sam().embed(scene()).nbytes
    keeps = sam(device_cache_bytes=3 * size)

    embeddings = [keeps.embed(scene(seed)) for seed in range(6)]
    for embedding in embeddings:
        keeps.predict(embedding, PROMPT)

    assert keeps._on_device.nbytes == 3 * size


@pytest.mark.parametrize("shape_nhw", [(1, 1, 1), (3, 5, 7), (2, 16, 8), (1, 33, 31)])
def test_packed_masks_are_unpacked(shape_nhw: tuple[int, int, int]) -> None:
    masks = np.random.default_rng(0).random(shape_nhw) > 0.5

    bits = packed(torch.from_numpy(masks)).numpy()

    assert bits.shape == (shape_nhw[0], -(-shape_nhw[1] * shape_nhw[2] // 8))
    np.testing.assert_array_equal(masks, unpack_bits(bits, shape_nhw))
