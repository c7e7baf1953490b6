"""Other ways of working: prompts that pile up, reloads, drafts, second thoughts, skipped tasks."""

from __future__ import annotations

from e2e.results import assert_true, masks_in, prompts_of

BOX = (150, 120, 350, 300)
INSIDE = (250, 210)


def test_without_auto_accept_prompts_pile_up_and_the_answer_is_replaced(
    editor, open_work, toy_backend, picture
) -> None:
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=False)

    editor.click(200, 200, "cat")
    (first,) = [r for r in editor.suggestions() if r.type == "brushregion"]
    editor.click(230, 200, "cat")
    editor.click(200, 210, "cat", positive=False)
    (last,) = [r for r in editor.suggestions() if r.type == "brushregion"]
    assert first.id == last.id
    editor.accept()
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    prompts = prompts_of(result, mask["id"])
    assert mask["id"] == first.id
    assert [prompt["meta"]["pos"] for prompt in prompts] == [True, True, False]
    assert_true(image, result, mask)


def test_without_auto_accept_an_accepted_mask_is_mended_in_place(
    editor, open_work, toy_backend, picture
) -> None:
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=False)
    editor.draw_box(BOX, "cat")
    editor.accept()
    (accepted,) = editor.masks()

    editor.click(*INSIDE, "cat", positive=False)
    editor.accept()
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    assert mask["id"] == accepted.id
    assert [prompt["meta"].get("pos") for prompt in prompts_of(result, mask["id"])] == [None, False]
    assert_true(image, result, mask)


def test_a_reload_with_pending_prompts_loses_no_click_and_no_sign(
    editor, open_work, toy_backend, picture
) -> None:
    """The editor itself forgets the signs of pending clicks at a reload."""
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_task(work.project_id, work.task_ids[0])
    editor.switch(auto_accept=False)
    editor.click(200, 200, "cat")
    editor.click(215, 200, "cat", positive=False)
    editor.save_draft()

    editor.reload()
    editor.switch(auto_accept=False)
    editor.click(200, 230, "cat")
    editor.accept()
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    prompts = prompts_of(result, mask["id"])
    assert [prompt["meta"]["pos"] for prompt in prompts] == [True, False, True]
    assert_true(image, result, mask)


def test_submitting_with_pending_prompts_does_no_harm(
    editor, open_work, toy_backend, picture
) -> None:
    """Nobody accepted the mask, so only the prompt is stored; the next task works as ever."""
    name, image = picture
    work = open_work([name, name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=False)
    editor.click(200, 200, "cat")
    editor.submit()

    editor.open_stream(work.project_id)
    assert editor.task_id() == work.task_ids[1]
    editor.draw_box(BOX, "cat")
    editor.accept()
    editor.submit()

    (first,), (second,) = work.annotations()
    assert [region["type"] for region in first["result"]] == ["keypoint", "labels"]
    assert_true(image, second["result"], masks_in(second["result"])[0])


def test_a_submitted_mask_is_mended_when_it_is_opened_again(
    editor, open_work, toy_backend, picture
) -> None:
    name, image = picture
    work = open_work([name], toy_backend)
    editor.open_task(work.project_id, work.task_ids[0])
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")
    editor.submit()
    (before,) = masks_in(work.only_result())

    editor.open_task(work.project_id, work.task_ids[0])
    editor.click(*INSIDE, "cat", positive=False)
    editor.submit()

    result = work.only_result()
    (mask,) = masks_in(result)
    assert mask["id"] == before["id"]
    assert len(prompts_of(result, mask["id"])) == 2
    assert_true(image, result, mask)


def test_skipping_stores_an_empty_cancelled_annotation(
    editor, open_work, toy_backend, picture
) -> None:
    name, _ = picture
    work = open_work([name, name], toy_backend)
    editor.open_stream(work.project_id)
    editor.switch(auto_accept=True)
    editor.draw_box(BOX, "cat")

    editor.skip()

    skipped, untouched = work.annotations()
    assert [annotation["was_cancelled"] for annotation in skipped] == [True]
    assert untouched == []
