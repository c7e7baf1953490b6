"""An annotator at work: whatever is clicked, undone and reloaded, masks follow what was meant."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from editor_model import CONFIG, LIVE_CONFIG, SHAPE_HW, Editor, is_mask, toy_image, toy_rig
from fakes import toy_mask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remask_core.types import BoolMask, Box, Click, Prompt
from remask_label_config.prompts import PercentBox
from remask_service.predict.ownership import REACH_OF_IMAGE, REACH_OF_OBJECT, Footprint

LABELS = st.sampled_from(["Cat", "Dog"])
XS = st.integers(0, SHAPE_HW[1] - 1)
YS = st.integers(0, SHAPE_HW[0] - 1)
IMAGE = toy_image()


@dataclass
class Meant:
    """An object as the annotator means it."""

    label: str
    clicks: list[Click] = field(default_factory=list)
    box: Box | None = None

    @property
    def mask(self) -> BoolMask:
        return toy_mask(IMAGE, Prompt(clicks=tuple(self.clicks), box=self.box))

    def near(self, click: Click) -> bool:
        footprint = Footprint.of(self.mask)
        reach = max(REACH_OF_IMAGE * np.hypot(*SHAPE_HW), REACH_OF_OBJECT * footprint.size_px)
        inside = self.box is not None and (
            self.box.x0 <= click.x < self.box.x1 and self.box.y0 <= click.y < self.box.y1
        )
        return bool(inside or footprint.distance_px(click) <= reach)


class Annotator(RuleBasedStateMachine):
    """What is common to both ways of working."""

    auto_accept = True
    config = CONFIG

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.context = toy_rig(Path(self.folder.name))
        self.rig = self.context.__enter__()
        self.editor = Editor(self.rig, auto_accept=self.auto_accept, config=self.config)
        self.objects: dict[str, Meant] = {}

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)
            self.folder.cleanup()

    def alike(self, label: str) -> dict[str, Meant]:
        return {rid: thing for rid, thing in self.objects.items() if thing.label == label}

    def place_of(self, x: int, y: int, label: str, positive: bool) -> tuple[str | None, bool]:
        """Which object a click at that place is meant for, and whether that is beyond doubt."""
        click = Click(x, y, positive)
        alike = self.alike(label)
        inside = [rid for rid, thing in alike.items() if thing.mask[y, x]]
        if inside:
            return inside[0], len(inside) == 1
        near = [rid for rid, thing in alike.items() if thing.near(click)]
        if near:
            return near[0], len(near) == 1 and positive
        return None, positive

    def check(self, result: list[dict[str, object]], rid: str | None) -> str:
        ids = [str(region["id"]) for region in result]
        assert len(set(ids)) == len(ids)
        masks = [region for region in result if is_mask(region)]
        assert len(masks) == 1
        got = str(masks[0]["id"])
        assert (got not in self.objects) if rid is None else (got == rid)
        return got

    @precondition(lambda self: not getattr(self, "signs_at_stake", False))
    @rule()
    def restart_the_service(self) -> None:
        """Nothing that the service remembers is needed."""
        self.rig.restart()

    @invariant()
    def every_mask_is_what_was_meant(self) -> None:
        if not hasattr(self, "editor"):
            return
        shown = self.editor.masks()
        assert set(shown) == set(self.objects)
        for rid, meant in self.objects.items():
            np.testing.assert_array_equal(shown[rid], meant.mask)


class AutoAccepting(Annotator):
    """Auto-accept on: every answer is taken at once."""

    @initialize()
    def start_with_nothing_to_undo(self) -> None:
        self.undos: list[tuple[str, Meant | None]] = []

    @rule(x=XS, y=YS, label=LABELS, positive=st.booleans())
    def click(self, x: int, y: int, label: str, positive: bool) -> None:
        rid, certain = self.place_of(x, y, label, positive)
        if not certain:
            return
        got = self.check(self.editor.click(x, y, label=label, positive=positive), rid)
        self.remember(got)
        meant = self.objects.setdefault(got, Meant(label))
        meant.clicks = [*meant.clicks, Click(x, y, positive)]

    @rule(x=XS, y=YS, width=st.integers(3, 60), height=st.integers(3, 60), label=LABELS)
    def draw_a_box(self, x: int, y: int, width: int, height: int, label: str) -> None:
        x1, y1 = min(x + width, SHAPE_HW[1]), min(y + height, SHAPE_HW[0])
        got = self.check(self.editor.box(x, y, x1, y1, label=label), None)
        self.remember(got)
        anchor = next(r for r in self.editor.regions.values() if r.get("parentID") == got)
        box = PercentBox(**anchor["meta"]["box"]).to_box(SHAPE_HW)
        assert np.allclose([box.x0, box.y0, box.x1, box.y1], [x, y, x1, y1])
        self.objects[got] = Meant(label, box=box)

    def remember(self, rid: str) -> None:
        before = self.objects.get(rid)
        kept = None if before is None else Meant(before.label, list(before.clicks), before.box)
        self.undos.append((rid, kept))

    @precondition(lambda self: getattr(self, "undos", None))
    @rule()
    def undo(self) -> None:
        """One undo takes back one click, or the box."""
        self.editor.undo()
        rid, before = self.undos.pop()
        if before is None:
            del self.objects[rid]
        else:
            self.objects[rid] = before

    @rule()
    def reload(self) -> None:
        self.editor.reload()
        self.undos = []

    @precondition(lambda self: getattr(self, "objects", None))
    @rule(data=st.data())
    def delete_a_mask(self, data: st.DataObject) -> None:
        """The points that a deleted mask leaves behind are no object any more."""
        rid = data.draw(st.sampled_from(sorted(self.objects)))
        self.editor.delete(rid)
        del self.objects[rid]
        self.editor.undo_stack, self.undos = [], []


class PilingUp(Annotator):
    """Auto-accept off: prompts pile up, each answer replaces the suggestion, until accepted."""

    auto_accept = False

    @initialize()
    def start_with_no_pile(self) -> None:
        self.rid: str | None = None
        self.signs_at_stake = False

    @rule(x=XS, y=YS, label=LABELS, positive=st.booleans())
    def click(self, x: int, y: int, label: str, positive: bool) -> None:
        if self.rid is not None:
            label, rid = self.objects[self.rid].label, self.rid
        else:
            found, certain = self.place_of(x, y, label, positive)
            if not certain:
                return
            rid = found
        self.rid = self.check(self.editor.click(x, y, label=label, positive=positive), rid)
        meant = self.objects.setdefault(self.rid, Meant(label))
        meant.clicks = [*meant.clicks, Click(x, y, positive)]

    @rule()
    def accept(self) -> None:
        self.editor.accept_all()
        self.rid = None
        self.signs_at_stake = False

    @precondition(lambda self: getattr(self, "rid", None))
    @rule(x=XS, y=YS, positive=st.booleans())
    def reload_with_prompts_pending_and_go_on(self, x: int, y: int, positive: bool) -> None:
        """The editor has lost the signs; the first draft has kept them, the second has not.

        After the second reload only the service remembers them, so it must not be restarted.
        """
        self.editor.reload()
        self.signs_at_stake = True
        self.click(x=x, y=y, label="", positive=positive)


class AutoAcceptingOnTheLivePage(AutoAccepting):
    """One list of classes, dots in the colour of their sign."""

    config = LIVE_CONFIG


class PilingUpOnTheLivePage(PilingUp):
    """One list of classes, dots in the colour of their sign."""

    config = LIVE_CONFIG


QUICK = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAutoAccepting = AutoAccepting.TestCase
TestAutoAccepting.settings = QUICK
TestPilingUp = PilingUp.TestCase
TestPilingUp.settings = QUICK
TestAutoAcceptingOnTheLivePage = AutoAcceptingOnTheLivePage.TestCase
TestAutoAcceptingOnTheLivePage.settings = QUICK
TestPilingUpOnTheLivePage = PilingUpOnTheLivePage.TestCase
TestPilingUpOnTheLivePage.settings = QUICK
