"""Label Studio's labelling page in a real browser, driven as an annotator would.

Places are pixels of the image. Every step waits for what it causes, never for time to pass, and
then until the editor is at rest: what it puts off to a later turn of the browser would otherwise
undo the next step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request

from remask_cli.demo.label_studio import Account

Tool = Literal["box", "click"]
INTERACTIVE = "/interactive-annotating"
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # Nothing but this machine may be reached, whatever the page asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
PATIENCE_MS = 30_000

# The editor keeps its state in one tree; `store` and `annotation` are its two main branches.
_HEAD = """
const store = window.dataManager?.lsf?.lsf;
const annotation = store?.annotationStore?.selected;
const image = annotation?.objects?.find(o => o.type === 'image');
"""

# A timer set after another of the same delay fires after it, so two turns see a timer's timer.
_SETTLED = f"""async patience => {{
  const end = performance.now() + patience;
  const turn = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  const state = () => {{ {_HEAD}
    const stage = document.querySelector('.konvajs-content')?.getBoundingClientRect();
    const busy = !image || !stage || store.isLoading || annotation.isDrawing
      || annotation.history.isFrozen;
    return busy ? null : JSON.stringify([annotation.id, stage, image.stageScale,
      image.zoomingPositionX, image.zoomingPositionY, annotation.history.undoIdx]);
  }};
  for (let before = null, now = null; now === null || now !== before;) {{
    if (performance.now() > end) throw new Error('the editor does not come to rest');
    before = now;
    await turn();
    await turn();
    now = state();
  }}
}}"""

_STROKES = "annotation.regions.reduce((n, r) => n + (r.touches?.length ?? 0), 0)"


@dataclass(frozen=True, slots=True)
class ShownRegion:
    """A region in the editor.

    Attributes:
        id: As the backend or the editor named it.
        type: The editor's own: `brushregion`, `keypointregion`, `rectangleregion`, ...
        label: Its label, if any.
        parent_id: Of the region it is nested under, if any.
        prompt: Whether it is a pending prompt of a smart tool.
    """

    id: str
    type: str
    label: str | None
    parent_id: str | None
    prompt: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """One interactive request of the editor and what came back."""

    sent: list[dict[str, Any]]
    answered: list[dict[str, Any]]


class Editor:
    """One browser tab, logged in to Label Studio."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        account: Account,
        *,
        size: tuple[int, int] = (1500, 950),
        slowdown: float = 1,
    ) -> None:
        self.url = url
        context = browser.new_context(viewport={"width": size[0], "height": size[1]})
        self.page: Page = context.new_page()
        self._patience_ms = PATIENCE_MS * slowdown
        self.page.set_default_timeout(self._patience_ms)
        if slowdown != 1:
            session = context.new_cdp_session(self.page)
            session.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(f"{url}/user/login/")
        self.page.fill("input[name=email]", account.email)
        self.page.fill("input[name=password]", account.password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda address: "/user/login" not in address)

    def close(self) -> None:
        self.page.context.close()

    # ------------------------------------------------------------------ going somewhere

    def open_task(self, project_id: int, task_id: int) -> None:
        """Open a task in the data manager, ready to be worked on."""
        self.page.goto(f"{self.url}/projects/{project_id}/data?task={task_id}")
        self._wait_until_open()

    def open_stream(self, project_id: int) -> None:
        """Open the label stream at its next task."""
        self.page.goto(f"{self.url}/projects/{project_id}/data?labeling=1")
        self._wait_until_open()

    def reload(self) -> None:
        """Reload the page, as a browser's button does."""
        self.page.reload()
        self._wait_until_open()

    def task_id(self) -> int:
        """The id of the task that is open."""
        return int(self.read("store.task.id"))

    def task_data(self) -> dict[str, Any]:
        """The data of the task that is open."""
        data: dict[str, Any] = json.loads(self.read("JSON.stringify(store.task.dataObj)"))
        return data

    # ------------------------------------------------------------------ switches

    def switch(self, *, auto_annotation: bool = True, auto_accept: bool) -> None:
        """Set the two switches of the bottom bar; accepting exists only while annotating."""
        self._toggle("bottombar-auto-annotation-toggle", "autoAnnotation", auto_annotation)
        if auto_annotation:
            self._toggle("bottombar-auto-accept-toggle", "autoAcceptSuggestions", auto_accept)

    def _toggle(self, test_id: str, setting: str, on: bool) -> None:
        box = self.page.locator(f"[data-testid={test_id}]")
        box.wait_for(state="attached")
        if self.read(f"store.{setting}") != on:
            # The box itself is hidden behind its picture.
            box.evaluate("element => element.click()")
        self._caused(f"store.{setting} === {json.dumps(on)}")

    # ------------------------------------------------------------------ pointing

    def draw_box(self, box: tuple[float, float, float, float], label: str) -> Exchange:
        """Draw a box with the smart rectangle tool and wait for its mask."""
        self._choose("box", label)
        with self._answered() as exchange:
            self._drag(box)
        return exchange[0]

    def click(
        self, x: float, y: float, label: str, *, positive: bool = True, ctrl: bool = False
    ) -> Exchange:
        """Click with the smart key point tool and wait for the answer.

        Ctrl is what lets a click through a mask that is wholly opaque; Alt makes it negative.
        """
        self._choose("click", label)
        keys = [key for key, held in (("Control", ctrl), ("Alt", not positive)) if held]
        with self._answered() as exchange:
            self._press(x, y, keys)
        return exchange[0]

    def point(self, x: float, y: float) -> None:
        """Click with the tool in hand, no key held, and wait for the point that it makes."""
        before = len(self.regions())
        self._press(x, y, [])
        self._caused(f"annotation.regions.length === {before + 1}")

    def press(self, x: float, y: float) -> None:
        """Press the mouse, which may or may not cause anything."""
        self._press(x, y, [])
        self._settle()

    def take_click_wand(self) -> None:
        """Take the point tool that asks the backend, as its button does."""
        taken = self.read(
            """window.ToolManager.allInstances().flatMap(manager => manager.allTools()
                 .filter(tool => tool.fullName === 'KeyPointTool-dynamic')
                 .map(tool => manager.selectTool(tool, true))).length"""
        )
        assert taken == 1, "the page offers no wand for points"

    def ask(
        self, x: float, y: float, *, positive: bool = True, keys: Sequence[str] = ()
    ) -> Exchange:
        """Click with the wand in hand and wait for the answer; Alt makes the click negative."""
        with self._answered() as exchange:
            self._press(x, y, [*keys, *([] if positive else ["Alt"])])
        return exchange[0]

    def ask_box(self, box: tuple[float, float, float, float]) -> Exchange:
        """Drag with the wand in hand and wait for the answer."""
        with self._answered() as exchange:
            self._drag(box)
        return exchange[0]

    def double_click(self, x: float, y: float) -> None:
        """Click twice with the wand and Ctrl in hand and wait for the new object's mask.

        Without Ctrl the second click selects the dot that the first one made.
        """
        before = len(self.masks())
        at = self._on_page(x, y)
        self.page.keyboard.down("Control")
        self.page.mouse.dblclick(*at)
        self.page.keyboard.up("Control")
        # The editor sends one request or two, as fast as it is; an accepted answer takes the
        # prompts off.
        self._caused(
            "!store.awaitingSuggestions && annotation.suggestions.size === 0"
            " && annotation.regions.every(r => !r.dynamic)"
            f" && annotation.regions.filter(r => r.type === 'brushregion').length > {before}"
        )

    def key(self, key: str) -> None:
        """Press a key and wait for what it causes, if anything."""
        self.page.keyboard.press(key)
        self._settle()

    def drag_from(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one place to another, whatever lies there."""
        self._drag((*start, *end))
        self._settle()

    def paint(self, box: tuple[float, float, float, float]) -> None:
        """Draw a stroke across a box with the brush or eraser in hand."""
        before = self.read(_STROKES)
        self._drag(box)
        self._caused(f"{_STROKES} === {before + 1}")

    def take_label(self, key: str, label: str) -> None:
        """Press the key of a label, named by its alias if it has one, and so have it in hand."""
        self.page.keyboard.press(key)
        self._caused(
            "[...annotation.names.values()].flatMap(control => control.selectedLabels ?? [])"
            f".some(chip => (chip.alias || chip.value) === {json.dumps(label)})"
        )

    def take_tool(self, key: str, tool: str) -> None:
        """Press the key of a tool, called as the editor calls it, and so have it in hand."""
        self.page.keyboard.press(key)
        self._caused(
            "window.ToolManager.allInstances()"
            f".some(manager => manager.findSelectedTool()?.fullName === {json.dumps(tool)})"
        )

    def let_go(self) -> None:
        """Press Escape: no region is chosen afterwards, and no label."""
        self.page.keyboard.press("Escape")
        self._caused(
            "annotation.selectedRegions.length === 0"
            " && [...annotation.names.values()].every(control => !control.selectedLabels?.length)"
        )

    def choose_option(self, option: str) -> None:
        """Choose from the only list of choices that the page has."""
        self.page.click(".lsf-choices [data-testid=select-trigger]")
        self.page.click(f"[data-slot=command-item][data-value='{option}']")
        self._caused("annotation.results.some(r => r.type === 'choices' && r.hasValue)")

    def choose_region(self, region_id: str) -> None:
        """Choose a region in the list beside the image."""
        # What is nested below another region is folded away.
        listed = [region.id for region in self.regions() if region.parent_id is None]
        place = listed.index(region_id)
        self.page.locator(".lsf-outliner-item").nth(place).click()
        self._caused(f"annotation.selectedRegions[0]?.cleanId === '{region_id}'")

    def delete_region(self, region_id: str) -> None:
        """Delete a region, chosen in the list, with the key for that."""
        self.choose_region(region_id)
        self.page.keyboard.press("Backspace")
        self._caused(f"!annotation.regions.some(r => r.cleanId === '{region_id}')")

    def _choose(self, tool: Tool, label: str) -> None:
        """Take the wand of a tool, then the class: with labels of its own the other order fails."""
        kind = {"box": "RectangleTool", "click": "KeyPointTool"}[tool]
        tag = {"box": "rectanglelabels", "click": "keypointlabels"}[tool]
        chosen = self.page.evaluate(
            f"""([kind, tag, label]) => {{ {_HEAD}
              for (const manager of window.ToolManager.allInstances()) {{
                const wand = manager.allTools().find(t => t.dynamic && t.toolName === kind);
                if (wand && !wand.selected) manager.selectTool(wand, true);
              }}
              const controls = [...annotation.names.values()];
              const control = controls.find(c => c.type === 'labels')
                ?? controls.find(c => c.type === tag);
              if (!control) return true;
              const chip = control.children.find(c => c._value === label || c.value === label);
              if (!chip.selected) chip.onLabelInteract();
              return chip.selected;
            }}""",
            [kind, tag, label],
        )
        assert chosen, f"the label {label} could not be chosen"

    def _press(self, x: float, y: float, keys: list[str]) -> None:
        at = self._on_page(x, y)
        for key in keys:
            self.page.keyboard.down(key)
        self.page.mouse.move(*at)
        self.page.mouse.down()
        self.page.mouse.up()
        for key in reversed(keys):
            self.page.keyboard.up(key)

    def _drag(self, box: tuple[float, float, float, float]) -> None:
        start, end = self._on_page(box[0], box[1]), self._on_page(box[2], box[3])
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=8)
        self.page.mouse.up()

    def _on_page(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the image lies in the window, once nothing covers it."""
        found = self.page.wait_for_function(
            f"""([x, y]) => {{ {_HEAD}
              const stage = document.querySelector('.konvajs-content').getBoundingClientRect();
              const offset = image.alignmentOffset ?? {{x: 0, y: 0}};
              const zoom = image.stageScale || image.zoomScale || 1;
              const px = image.internalToCanvasX(100 * x / image.naturalWidth);
              const py = image.internalToCanvasY(100 * y / image.naturalHeight);
              const place = [stage.x + offset.x + image.zoomingPositionX + px * zoom,
                             stage.y + offset.y + image.zoomingPositionY + py * zoom];
              return document.elementFromPoint(...place)?.closest('.konvajs-content') && place;
            }}""",
            arg=[x, y],
        )
        place = found.json_value()
        return place[0], place[1]

    @contextmanager
    def _answered(self) -> Iterator[list[Exchange]]:
        """Wait until the prompt given inside has been answered and the answer is shown.

        The list that is yielded holds the exchange afterwards.
        """
        exchange: list[Exchange] = []
        with self.page.expect_request_finished(lambda sent: INTERACTIVE in sent.url) as finished:
            yield exchange
        exchange.append(_exchange(finished.value))
        self._caused(
            "!store.awaitingSuggestions"
            " && (!store.autoAcceptSuggestions || annotation.suggestions.size === 0)"
        )

    # ------------------------------------------------------------------ keeping and leaving

    def undo(self) -> None:
        """Press Ctrl+Z and wait until something has been taken back."""
        before = self.read("annotation.history.undoIdx")
        self.page.keyboard.press("Control+z")
        self._caused(f"annotation.history.undoIdx !== {before}")

    def redo(self) -> None:
        """Press Ctrl+Shift+Z and wait until something has been done again."""
        before = self.read("annotation.history.undoIdx")
        self.page.keyboard.press("Control+Shift+z")
        self._caused(f"annotation.history.undoIdx !== {before}")

    def accept(self) -> None:
        """Accept what is suggested, in the bottom bar."""
        self.page.click("[data-testid=bottombar-accept-suggestions-button]")
        self._caused("annotation.suggestions.size === 0")

    def submit(self, *, by_key: bool = False) -> None:
        """Submit, or update what was submitted before, and wait until it is stored."""
        button = "[data-testid=bottombar-submit-button], [data-testid=bottombar-update-button]"
        self._leave(None if by_key else button)

    def submit_and_go_on(self) -> None:
        """Submit and wait until the next task of the stream is ready to be worked on."""
        done = self.task_id()
        self.submit()
        self._wait_for(f"store.task && Number(store.task.id) !== {done}")
        self._wait_until_open()

    def skip(self) -> None:
        """Skip the task and wait until that is stored."""
        self._leave("[data-testid=bottombar-skip-button]")

    def _leave(self, button: str | None) -> None:
        # The editor drops its draft when it submits, but not one that is on its way to the server:
        # that one would be found beside the annotation when the task is opened again.
        self._wait_for("(annotation.autosave?.cancel(), !annotation.isDraftSaving)")
        with self.page.expect_response(_stores_annotation):
            if button is None:
                self.page.keyboard.press("Control+Enter")
            else:
                self.page.click(button)

    def save_draft(self) -> None:
        """Have the editor store the work in hand as a draft, and wait until it is stored."""
        self.page.evaluate(
            f"""async () => {{ {_HEAD}
              while (annotation.isDraftSaving) await new Promise(done => setTimeout(done));
              await annotation.saveDraftImmediatelyWithResults();
            }}"""
        )
        assert self.read("annotation.draftId > 0"), "no draft was stored"

    # ------------------------------------------------------------------ looking

    def regions(self) -> list[ShownRegion]:
        """The regions of the annotation in hand, prompts included."""
        return self._shown("annotation.regions")

    def suggestions(self) -> list[ShownRegion]:
        """What the backend suggests and nobody has accepted yet."""
        return self._shown("annotation.suggestions.values()")

    def masks(self) -> list[ShownRegion]:
        """The masks of the annotation in hand."""
        return [r for r in self.regions() if r.type in ("brushregion", "bitmaskregion")]

    def _shown(self, source: str) -> list[ShownRegion]:
        rows = self.read(
            f"""[...{source}].map(r => ({{
              id: r.cleanId ?? r.id, type: r.type, label: r.labelName ?? null,
              parent_id: r.parentID ? r.parentID.split('#')[0] : null, prompt: !!r.dynamic,
            }}))"""
        )
        return [ShownRegion(**row) for row in rows]

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path)

    # ------------------------------------------------------------------ the tree and the wire

    def read(self, expression: str) -> Any:
        return self.page.evaluate(f"() => {{ {_HEAD} return {expression}; }}")

    def _wait_for(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {{ {_HEAD} return {condition}; }}")

    def _caused(self, condition: str) -> None:
        """Wait for what a step causes, and for what follows from it."""
        self._wait_for(condition)
        self._settle()

    def _settle(self) -> None:
        """Wait until nothing is put off, nothing is being drawn and the picture stays in place.

        For one: a region that gets chosen gets its labels chosen by a timer, which lets go of
        whatever label has been taken in the meantime.
        """
        self.page.evaluate(_SETTLED, self._patience_ms)

    def _wait_until_open(self) -> None:
        self._wait_for("store && annotation && image && !store.isLoading")
        self._caused("image.naturalWidth > 1 && image.imageIsLoaded && image.isReady")


def _exchange(request: Request) -> Exchange:
    response = request.response()
    answer = response.json() if response is not None else {}
    return Exchange(
        sent=json.loads(request.post_data or "{}")["context"]["result"],
        answered=(answer.get("data") or {}).get("result", []),
    )


def _stores_annotation(response: Any) -> bool:
    asked = response.request
    # A draft of an annotation is stored below it.
    path = urlsplit(asked.url).path.rstrip("/")
    stored = re.search(r"/annotations(/\d+)?$", path)
    return asked.method in ("POST", "PATCH") and stored is not None and response.ok
