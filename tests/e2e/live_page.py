"""What an annotator sees on the live page: sentences, dots, the room for the picture."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.editor import Editor


@dataclass(frozen=True, slots=True)
class LivePage:
    """The live page in a browser tab."""

    editor: Editor

    def sentences(self) -> list[str]:
        """The sentences that are shown, in the order of the page."""
        found: list[str] = self.editor.page.evaluate(
            """() => [...document.querySelectorAll('.rm-bad, .rm-note')]
              .filter(note => note.offsetParent !== null)
              .map(note => note.innerText.trim())"""
        )
        return found

    def wait_for_sentence(self, sentence: str) -> None:
        """Wait until a sentence is shown."""
        self.editor.page.get_by_text(sentence, exact=True).wait_for(state="visible")

    def dots(self) -> list[tuple[float, float, str]]:
        """Where the points are, in per cent of the image, and their colour."""
        rows = self.editor.read(
            """[...annotation.regions].filter(r => r.type === 'keypointregion')
              .map(r => [r.x, r.y, (r.style ?? r.tag).fillcolor])"""
        )
        return [(x, y, colour) for x, y, colour in rows]

    def picture_box(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the picture in the window."""
        left, top, width, height = self.editor.read(
            "(({x, y}) => [x, y, image.stageWidth, image.stageHeight])"
            "(document.querySelector('.konvajs-content').getBoundingClientRect())"
        )
        return left, top, width, height
