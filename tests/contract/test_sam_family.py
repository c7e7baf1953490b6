"""SAM 2.1, HQ-SAM, EdgeTAM and SAM 3 against the package that runs them, on tiny random networks.

No published weights are at hand in a test. That the networks are the published ones is the
package's business; that we ask them the same, for every kind of prompt, is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

transformers = pytest.importorskip("transformers")

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tiny_family import TINY_CONFIGS, tiny_family  # noqa: E402
from tiny_sam import TINY_ARCH, build_tiny_sam  # noqa: E402

from remask_core.errors import InputError, ShapeMismatch  # noqa: E402
from remask_core.types import Box, Click, Prompt, RgbImage  # noqa: E402
from remask_models.sam.architectures import FAMILY, build, build_random, read_network  # noqa: E402
from remask_models.sam.family import FamilySegmenter  # noqa: E402
from remask_models.sam.pauses import encoder_blocks  # noqa: E402

SHAPE_HW = (90, 130)
INSIDE = Click(55, 45, True)
OUTSIDE = Click(10, 80, False)
BOX = Box(30, 20, 95, 70)
PRIOR = np.zeros(SHAPE_HW, dtype=bool)
PRIOR[25:60, 35:80] = True

PROMPTS: dict[str, Prompt] = {
    "click": Prompt((INSIDE,)),
    "negative click": Prompt((OUTSIDE,)),
    "clicks": Prompt((INSIDE, OUTSIDE, Click(60, 50, True))),
    "box": Prompt(box=BOX),
    "box and clicks": Prompt((INSIDE, OUTSIDE), box=BOX),
    "clicks and prior mask": Prompt((INSIDE,), prior_mask=PRIOR),
    "box and prior mask": Prompt(box=BOX, prior_mask=PRIOR),
    "box, clicks and prior mask": Prompt((OUTSIDE,), box=BOX, prior_mask=PRIOR),
}
KINDS = pytest.mark.parametrize("kind", TINY_CONFIGS)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are faster without threads, and far faster on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def exact() -> dict[str, FamilySegmenter]:
    """Every kind, with embeddings in single precision."""
    return {kind: tiny_family(kind, dtype=torch.float32) for kind in TINY_CONFIGS}


def scene(seed: int = 0) -> RgbImage:
    return np.random.default_rng(seed).integers(0, 256, (*SHAPE_HW, 3), dtype=np.uint8)


def processor(kind: str, segmenter: FamilySegmenter) -> Any:
    """Return the package's own image processor, for images of the tiny network's size."""
    side = segmenter.frame.side_px
    if kind == "sam_hq":
        size = {"height": side, "width": side}
        return transformers.SamImageProcessor(size={"longest_edge": side}, pad_size=size)
    name = "Sam3ImageProcessor" if kind == "sam3_tracker" else "Sam2ImageProcessor"
    return getattr(transformers, name)(size={"height": side, "width": side})


@torch.inference_mode()
def packages_answer(
    kind: str, segmenter: FamilySegmenter, image: RgbImage, prompt: Prompt
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return masks, logits and scores as the package's processor and `forward` give them."""
    own = processor(kind, segmenter)
    inputs = own(image, return_tensors="pt")
    height, width = SHAPE_HW
    inner_h, inner_w = (
        inputs["reshaped_input_sizes"][0].tolist()
        if kind == "sam_hq"
        else (
            segmenter.frame.side_px,
            segmenter.frame.side_px,
        )
    )
    sx, sy = inner_w / width, inner_h / height
    asked: dict[str, Any] = {}
    if prompt.clicks:
        points = [[[[c.x * sx, c.y * sy] for c in prompt.clicks]]]
        asked["input_points"] = torch.tensor(points)
        asked["input_labels"] = torch.tensor([[[int(c.positive) for c in prompt.clicks]]])
    if prompt.box is not None:
        b = prompt.box
        asked["input_boxes"] = torch.tensor([[[b.x0 * sx, b.y0 * sy, b.x1 * sx, b.y1 * sy]]])
    if prompt.prior_mask is not None:
        logits = segmenter.frame.prior_logits(prompt.prior_mask, low_hw=segmenter.low_hw)
        asked["input_masks"] = torch.from_numpy(logits)[None, None]
    alone = len(prompt.clicks) == 1 and prompt.box is None and prompt.prior_mask is None
    found = segmenter._network(pixel_values=inputs["pixel_values"], multimask_output=alone, **asked)
    masks = full_masks(kind, own, found.pred_masks[0], inputs)
    return masks, found.pred_masks[0, 0].numpy(), found.iou_scores[0, 0].numpy()


def full_masks(kind: str, own: Any, low: torch.Tensor, inputs: Any) -> np.ndarray:
    sizes = [[SHAPE_HW]]
    if kind == "sam_hq":
        sizes.append(inputs["reshaped_input_sizes"].tolist())
    return own.post_process_masks([low], *sizes)[0][0].numpy()


@KINDS
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_answers_are_the_packages(
    kind: str, prompt: Prompt, exact: dict[str, FamilySegmenter]
) -> None:
    segmenter = exact[kind]
    masks, logits, scores = packages_answer(kind, segmenter, scene(), prompt)

    found = segmenter.predict(segmenter.embed(scene()), prompt)

    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose([c.logits for c in found], logits[order], atol=1e-4)
    np.testing.assert_allclose([c.score for c in found], scores[order].clip(0, 1), atol=1e-4)
    differ = np.array([c.mask for c in found]) != masks[order]
    assert differ.mean() < 1e-3
    assert logits.std() > 0.05  # else anything would be equal


@KINDS
def test_the_networks_input_is_the_packages(kind: str, exact: dict[str, FamilySegmenter]) -> None:
    segmenter = exact[kind]
    expected = processor(kind, segmenter)(scene(), return_tensors="pt")["pixel_values"]

    pixels = segmenter.frame.pixels(scene(), device=torch.device("cpu"))

    torch.testing.assert_close(pixels, expected, atol=1e-4, rtol=0)


@KINDS
def test_half_precision_embeddings_give_nearly_the_same(
    kind: str, exact: dict[str, FamilySegmenter]
) -> None:
    half = tiny_family(kind)
    embedding = half.embed(scene())
    full = exact[kind].embed(scene())

    assert 2 * embedding.nbytes == full.nbytes
    for prompt in PROMPTS.values():
        (first, *_), (second, *_) = (
            half.predict(embedding, prompt),
            exact[kind].predict(full, prompt),
        )
        np.testing.assert_allclose(first.logits, second.logits, atol=2e-2)
        assert (first.mask != second.mask).mean() < 0.01


def test_values_beyond_half_precision_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """They became infinite, and every score NaN."""
    segmenter = tiny_family("sam2")
    encode = segmenter._encode
    monkeypatch.setattr(
        segmenter, "_encode", lambda pixels: {k: 1e6 * v for k, v in encode(pixels).items()}
    )

    embedding = segmenter.embed(scene())

    assert all(np.isfinite(array).all() for array in embedding.arrays.values())


@KINDS
def test_a_batch_of_mask_prompts_is_answered_as_one_by_one(
    kind: str, exact: dict[str, FamilySegmenter]
) -> None:
    """The package's `forward` fails for it."""
    segmenter = exact[kind]
    embedding = segmenter.embed(scene())
    rng = np.random.default_rng(3)
    prompts = [
        Prompt((INSIDE, OUTSIDE), prior_logits=rng.normal(0, 5, segmenter.low_hw).astype("f4"))
        for _ in range(11)
    ]
    prompts[4:4] = list(PROMPTS.values())

    together = segmenter.predict_batch(embedding, prompts)

    for prompt, found in zip(prompts, together, strict=True):
        alone = segmenter.predict(embedding, prompt)
        assert len(alone) == len(found)
        for expected, actual in zip(alone, found, strict=True):
            np.testing.assert_allclose(expected.logits, actual.logits, atol=1e-4)
            assert expected.score == pytest.approx(actual.score, abs=1e-4)


@KINDS
def test_masks_of_points_are_those_of_clicks(kind: str, exact: dict[str, FamilySegmenter]) -> None:
    segmenter = exact[kind]
    embedding = segmenter.embed(scene())
    points = np.random.default_rng(1).uniform(0, 89, (10, 2))

    found = [
        mask
        for run in segmenter.point_masks(embedding, points, min_score=0.0, offset=1.0)
        for mask in run
    ]

    assert [mask.point for mask in found] == np.repeat(np.arange(10), 3).tolist()
    for number, (x, y) in enumerate(points):
        alone = segmenter.predict(embedding, Prompt((Click(x, y, True),)))
        ours = sorted(found[3 * number : 3 * number + 3], key=lambda mask: -mask.score)
        for expected, actual in zip(alone, ours, strict=True):
            assert expected.score == pytest.approx(np.clip(actual.score, 0, 1), abs=1e-4)
            assert (expected.mask != actual.mask).mean() < 1e-3


@KINDS
def test_pauses_between_blocks_change_no_bit(kind: str, exact: dict[str, FamilySegmenter]) -> None:
    """During each pause another image is embedded and asked on the same model."""
    segmenter = exact[kind]
    plain = segmenter.embed(scene()).arrays
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        segmenter.predict(segmenter.embed(scene(1)), PROMPTS["box"])

    paused = segmenter.embed(scene(), pause=pause).arrays

    assert pauses == len(encoder_blocks(segmenter._network.vision_encoder)) >= 3
    for key, array in plain.items():
        np.testing.assert_array_equal(array, paused[key])


def test_foreign_prior_logits_are_refused(exact: dict[str, FamilySegmenter]) -> None:
    segmenter = exact["sam2"]
    prompt = Prompt((INSIDE,), prior_logits=np.zeros((3, 3), "f4"))

    with pytest.raises(ShapeMismatch, match=r"`prior_logits` must have shape \(16, 16\)"):
        segmenter.predict(segmenter.embed(scene()), prompt)


def test_hq_sams_encoder_is_sams() -> None:
    """The package's encoder of HQ-SAM gives what SAM's authors' encoder gives on its weights."""
    official = build_tiny_sam(TINY_ARCH, seed=4).image_encoder.eval()
    config = TINY_CONFIGS["sam_hq"]().vision_config.to_dict()
    config |= {
        "image_size": TINY_ARCH["img_size"],
        "patch_size": TINY_ARCH["patch"],
        "hidden_size": TINY_ARCH["embed_dim"],
        "num_hidden_layers": TINY_ARCH["depth"],
        "num_attention_heads": TINY_ARCH["heads"],
        "mlp_dim": TINY_ARCH["embed_dim"] * TINY_ARCH["mlp_ratio"],
        "output_channels": TINY_ARCH["out_chans"],
        "window_size": TINY_ARCH["window"],
        "global_attn_indexes": TINY_ARCH["global_attn_indexes"],
    }
    encoder = transformers.SamHQVisionModel(transformers.SamHQVisionConfig(**config)).eval()
    renamed = {
        "patch_embed.proj.": "patch_embed.projection.",
        "blocks.": "layers.",
        ".norm": ".layer_norm",
        "neck.0": "neck.conv1",
        "neck.1": "neck.layer_norm1",
        "neck.2": "neck.conv2",
        "neck.3": "neck.layer_norm2",
    }
    state = {}
    for key, tensor in official.state_dict().items():
        name = key
        for old, new in renamed.items():
            name = name.replace(old, new)
        state[f"vision_encoder.{name}"] = 0.2 * torch.randn_like(tensor)
    encoder.load_state_dict(state)
    official.load_state_dict(dict(zip(official.state_dict(), state.values(), strict=True)))
    pixels = torch.randn(1, 3, 128, 128)

    with torch.inference_mode():
        expected, found = official(pixels), encoder(pixels).last_hidden_state

    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "blocks", "low"),
    [
        ("sam2.1_hiera_tiny", 12, 256),
        ("sam2.1_hiera_small", 16, 256),
        ("sam2.1_hiera_base_plus", 24, 256),
        ("sam2.1_hiera_large", 48, 256),
        ("sam_hq_vit_b", 12, 256),
        ("sam_hq_vit_l", 24, 256),
        ("sam_hq_vit_h", 32, 256),
        ("sam3_tracker", 32, 288),
    ],
)
def test_published_networks_have_the_published_shapes(name: str, blocks: int, low: int) -> None:
    with torch.device("meta"):
        network = build(FAMILY[name]())

    assert blocks == len(encoder_blocks(network.vision_encoder))
    assert low == 4 * network.prompt_encoder.image_embedding_size[0]


def test_edgetam_is_built_from_timm() -> None:
    pytest.importorskip("timm")

    network = build(FAMILY["edgetam"]())

    assert len(encoder_blocks(network.vision_encoder)) > 10


# ---- weights


@KINDS
def test_saved_weights_are_read_back(kind: str, tmp_path: Path) -> None:
    config = TINY_CONFIGS[kind]()
    network = build_random(config, seed=5)
    network.save_pretrained(tmp_path)

    again = read_network(TINY_CONFIGS[kind](), tmp_path / "model.safetensors", name=kind)

    expected = network.state_dict()
    for key, tensor in again.state_dict().items():
        assert torch.equal(expected[key], tensor), key


def saved(kind: str, tmp_path: Path) -> tuple[dict[str, torch.Tensor], Path]:
    build_random(TINY_CONFIGS[kind](), seed=5).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    return load_file(path), path


@pytest.mark.parametrize("owner", ["shared_image_embedding", "prompt_encoder.shared_embedding"])
@pytest.mark.parametrize("kind", ["sam2", "sam_hq"])
def test_positions_that_a_file_holds_once_serve_both_owners(
    kind: str, owner: str, tmp_path: Path
) -> None:
    state, path = saved(kind, tmp_path)
    keys = [key for key in state if key.endswith("positional_embedding")]
    wanted = state[keys[0]].clone()
    state = {key: value for key, value in state.items() if key not in keys}
    save_file({**state, f"{owner}.positional_embedding": wanted}, path)

    network: Any = read_network(TINY_CONFIGS[kind](), path, name=kind)

    assert torch.equal(wanted, network.shared_image_embedding.positional_embedding)
    assert torch.equal(wanted, network.prompt_encoder.shared_embedding.positional_embedding)


def test_sam_3_is_taken_out_of_the_whole_models_file(tmp_path: Path) -> None:
    """The published file holds a detector as well, and shares its encoder with the tracker."""
    path = tmp_path / "model.safetensors"
    state = build_random(TINY_CONFIGS["sam3_tracker"](), seed=5).state_dict()
    whole = {"detector_model.detr.weight": torch.ones(3)}
    for key, tensor in state.items():
        prefix = (
            "detector_model." if key.startswith("vision_encoder.backbone.") else "tracker_model."
        )
        neck = key.startswith("vision_encoder.neck.")
        name = key.replace("vision_encoder.neck.", "tracker_neck.") if neck else prefix + key
        whole[name] = tensor.clone()
    save_file(whole, path)

    network = read_network(TINY_CONFIGS["sam3_tracker"](), path, name="sam3_tracker")

    for key, tensor in network.state_dict().items():
        assert torch.equal(state[key], tensor), key


@pytest.mark.parametrize("content", ["text", "other", "shapes"])
def test_a_file_of_other_weights_is_refused(content: str, tmp_path: Path) -> None:
    state, path = saved("sam2", tmp_path)
    if content == "text":
        path.write_text("not a checkpoint")
    elif content == "other":
        save_file({"a": torch.zeros(1)}, path)
    else:
        key = next(key for key in state if key.endswith("mask_tokens.weight"))
        save_file({**state, key: torch.zeros(3, 3)}, path)

    with pytest.raises(InputError, match="`weights` must be"):
        read_network(TINY_CONFIGS["sam2"](), path, name="sam2")


def test_random_weights_are_seeded_and_leave_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)

    first, second = (build_random(TINY_CONFIGS["sam2"](), seed=1).state_dict() for _ in range(2))

    assert torch.equal(expected, torch.rand(1))
    assert all(torch.equal(first[key], second[key]) for key in first)
