"""The page in a browser: drawing, dragging, keys, a phone, a screen reader."""

import io

import browsing
import drawings
import numpy as np
import pytest
from PIL import Image
from running import REPOSITORY

from ramnp.data.mnist import MNIST
from ramnp.demo.page import digits
from ramnp.demo.page import page as build

STOP = "state.playing = false; go(last())"  # what a user gets who waits


def drawn(page, strokes):
    """Draw strokes with the mouse; they are in pad units."""
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / 280
    for stroke in strokes:
        for i, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
            if i == 0:
                page.mouse.down()
        page.mouse.up()


def answer(page):
    """What the page says in the end."""
    page.evaluate(STOP)
    return int(page.locator("#answer b").inner_text())


def on_stage(page, name):
    """Where something is in the window: "digit", the middle of the hidden digit, or the number of a glimpse from 1."""
    box = page.locator("#stage").bounding_box()
    if name == "digit":
        left, top = page.evaluate("[state.place.left, state.place.top]")
        return box["x"] + (left + 14) / 60 * box["width"], box["y"] + (top + 14) / 60 * box["height"]
    x, y = page.evaluate(f"[...state.steps[{name - 1}].location]")
    return box["x"] + (x + 1) / 2 * box["width"], box["y"] + (y + 1) / 2 * box["height"]


def dragged(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def test_the_page_in_the_repository_is_up_to_date():
    assert (REPOSITORY / "docs/demo/index.html").read_text(encoding="utf-8") == build(), (
        "build it again: python -m ramnp.demo --build docs/demo/index.html"
    )


def test_the_digits_are_the_first_test_images_of_each_class():
    pixels, labels = digits()
    test = MNIST.read_split("t10k")
    first = np.concatenate([np.flatnonzero(test.labels == label)[:6] for label in range(10)])
    assert np.array_equal(pixels, test.images[first, :, :, 0])
    assert np.array_equal(labels, test.labels[first])


def test_it_plays_a_search_at_once(page):
    page.locator("#speed").select_option("Fast")
    page.wait_for_function("state.t === last() && !state.playing")
    assert page.locator("#answer").inner_text().startswith("It says")
    assert page.locator("#history button").count() == 8
    assert page.locator("#patches canvas").count() == 3


def test_with_reduced_motion_it_shows_the_end(opened):
    with opened(reduced_motion="reduce") as page:
        assert page.evaluate("state.t") == 7
        assert page.locator("#answer").inner_text().startswith("It says")


@pytest.mark.parametrize(("task", "least"), [("Close up", 9), ("Hide it", 9)])
def test_drawings_are_recognised(page, task, least):
    page.locator(f"#task label:has-text('{task}')").click()
    answers = []
    for drawing in drawings.DRAWINGS:
        page.locator("#clear").click()
        page.locator(f"#pen label[title='{drawing.pen} pen']").click()
        drawn(page, drawing.strokes)
        answers.append(answer(page))
    wrong = [
        f"{drawing.digit} ({drawing.hand}): {said}"
        for drawing, said in zip(drawings.DRAWINGS, answers, strict=True)
        if said != drawing.digit
    ]
    print(f"{task}: {10 - len(wrong)} of 10; wrong: {wrong}")
    assert 10 - len(wrong) >= least, wrong


def test_a_drawing_is_scaled_and_centred_as_mnist_is(page):
    for strokes in ([[(20, 30), (60, 30), (60, 110)]], [[(150, 100), (270, 270)]]):
        page.locator("#clear").click()
        drawn(page, strokes)
        ink = np.array(page.evaluate("[...state.digit]")).reshape(28, 28)
        rows, columns = np.flatnonzero(ink.max(1) > 25), np.flatnonzero(ink.max(0) > 25)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)
        centre = [(ink.sum(axis) * (np.arange(28) + 0.5)).sum() / ink.sum() for axis in (0, 1)]
        assert centre == pytest.approx([14, 14], abs=0.3)


def test_a_tap_is_a_dot(page):
    page.locator("#clear").click()
    drawn(page, [[(100, 100)]])
    assert sum(page.evaluate("[...state.digit]")) > 500


def test_without_ink_there_is_nothing_to_look_at(page):
    page.locator("#clear").click()
    assert page.locator("#answer").inner_text() == "Draw a digit, or take one."
    assert page.locator("#play").is_disabled()
    assert page.locator("#history button").count() == 0


def test_a_digit_is_taken_and_the_next_of_its_class(page):
    three = page.get_by_role("button", name="Take a 3")
    three.click()
    before = page.evaluate("[...state.digit].join()")
    assert answer(page) == 3
    assert three.get_attribute("aria-pressed") == "true"
    three.click()
    assert page.evaluate("[state.label, [...state.digit].join()]")[0] == 3
    assert page.evaluate("[...state.digit].join()") != before


def test_the_digit_is_dragged_and_the_network_follows(page):
    page.locator("#tidy").click()
    page.evaluate(STOP)
    page.evaluate("move_digit(0, 0)")
    page.evaluate("go(0)")  # one glimpse only, so that none lies in the way
    page.evaluate("state.first = [0.9, 0.9]; search(); show()")
    x, y = on_stage(page, "digit")
    step = page.locator("#stage").bounding_box()["width"] / 60
    dragged(page, (x, y), (x + 20 * step, y + 25 * step))
    assert page.evaluate("[state.place.left, state.place.top]") == [20, 25]
    assert page.evaluate("state.steps.at(-1).answer") == 5
    middle = np.array(page.evaluate("[...state.steps.at(-1).location]")) * 30 + 30
    assert np.abs(middle - (34, 39)).max() < 14, "its last glimpse is not on the digit"
    page.evaluate("go(0)")
    dragged(page, on_stage(page, "digit"), (1279, 799))
    assert page.evaluate("[state.place.left, state.place.top]") == [32, 32], "it left the canvas"


def test_a_glimpse_is_dragged_and_let_go(page):
    page.evaluate(STOP)
    own = page.evaluate("state.steps.map((step) => [...step.location])")
    page.evaluate("go(2)")
    box = page.locator("#stage").bounding_box()
    dragged(page, on_stage(page, 3), (box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"]))
    steps = page.evaluate("state.steps.map((step) => [...step.location])")
    assert steps[:2] == own[:2]
    assert steps[2] == pytest.approx([-0.8, -0.6], abs=0.01)
    assert steps[3] != own[3]
    assert page.locator("#what-if").is_visible()
    assert "Left alone" in page.locator("#what-if p").inner_text()
    page.get_by_role("button", name="Let it choose").click()
    assert page.evaluate("state.steps.map((step) => [...step.location])") == own
    assert page.locator("#what-if").is_hidden()


def test_clutter_is_thrown_and_tidied(page):
    assert page.evaluate("state.pieces.length") == 4
    page.locator("#throw").click()
    assert page.evaluate("state.pieces.length") == 5
    for _ in range(15):
        page.locator("#throw").click()
    assert page.locator("#throw").is_disabled()
    page.locator("#tidy").click()
    assert page.evaluate("state.pieces.length") == 0
    place = page.evaluate("state.place")
    page.locator("#shuffle").click()
    assert page.evaluate("state.pieces.length") == 4
    assert page.evaluate("state.place") != place


def test_keys_play_step_and_move(page):
    page.keyboard.press("Space")
    assert page.evaluate("state.playing") is False
    page.evaluate("go(0)")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("state.t") == 1
    page.keyboard.press("Space")
    assert page.evaluate("state.playing") is True
    page.evaluate("state.playing = false; go(1); move_digit(10, 10)")
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[state.place.left, state.place.top]") == [11, 12]
    page.evaluate("go(3)")
    before = page.evaluate("[...state.steps[3].location]")
    page.keyboard.press("Shift+ArrowUp")
    assert page.evaluate("state.forced.t") == 3
    assert page.evaluate("[...state.steps[3].location]") == pytest.approx([before[0], before[1] - 0.05], abs=1e-5)


def test_tab_reaches_every_control(page):
    page.evaluate("state.playing = false; go(3)")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    wanted = {"clear", "shuffle", "throw", "tidy", "stage", "back", "play", "next", "time", "speed", "eyes"}
    assert wanted | {f"Take a {digit}" for digit in range(10)} <= reached


def test_a_history_button_keeps_the_focus(page):
    page.evaluate(STOP)
    page.locator("#history button").nth(2).click()
    assert page.evaluate("state.t") == 2
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "step"


NAMED = ("button", "slider", "radio", "checkbox", "combobox", "image", "application", "group", "link")


def test_a_screen_reader_has_a_name_for_everything(page):
    page.evaluate(STOP)
    session = page.context.new_cdp_session(page)
    nodes = [node for node in session.send("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    assert {"button", "slider", "radio", "checkbox", "combobox", "image", "application"} <= {role for role, _ in roles}
    assert [role for role, name in roles if role in NAMED and not name.strip()] == []


def test_a_screen_reader_is_told_the_answer(page):
    page.evaluate(STOP)
    news = page.locator("#news")
    assert news.get_attribute("aria-live") == "polite"
    assert news.inner_text().startswith("Glimpse 8 of 8, at the ")
    assert "It says 5" in news.inner_text()


@pytest.mark.parametrize("width", [320, 375, 680, 800, 1280])
def test_nothing_sticks_out(opened, width):
    with opened(viewport={"width": width, "height": 800}) as page:
        page.evaluate(STOP)
        page.evaluate("move_glimpse(2, [0, 0])")  # shows all there is
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        out = page.evaluate(
            "[...document.querySelectorAll('button, canvas, p, input, h1, label')].filter((each) => "
            "!each.closest('.hidden, .choice input') && each.getBoundingClientRect().right > innerWidth)"
            ".map((each) => each.outerHTML.slice(0, 80))"
        )
        assert out == []


def test_on_a_desktop_it_is_one_screen(page):
    page.evaluate(STOP)
    assert page.evaluate("document.documentElement.scrollHeight") <= browsing.DESKTOP["height"]


def test_a_finger_draws_and_drags(phone):
    session = phone.context.new_cdp_session(phone)

    def swipe(points):
        for kind, at in (("touchStart", points[0]), *(("touchMove", point) for point in points[1:])):
            x, y = at
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    assert phone.locator("#play").bounding_box()["y"] < browsing.PHONE["height"], (
        "the player is not on the first screen"
    )
    pad = phone.locator("#pad").bounding_box()
    (seven,) = drawings.SEVEN
    swipe([(pad["x"] + x / 280 * pad["width"], pad["y"] + y / 280 * pad["height"]) for x, y in seven])
    assert phone.evaluate("scrollY") == 0, "drawing scrolls the page"
    assert answer(phone) == 7
    phone.evaluate("go(0); state.first = [0.9, 0.9]; move_digit(0, 0); go(0)")
    x, y = on_stage(phone, "digit")
    step = phone.locator("#stage").bounding_box()["width"] / 60
    swipe([(x, y), (x + 5 * step, y + 5 * step), (x + 10 * step, y + 12 * step)])
    assert phone.evaluate("[state.place.left, state.place.top]") == [10, 12]
    assert phone.evaluate("scrollY") == 0, "dragging scrolls the page"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 375
    phone.evaluate("move_digit(0, 0); go(0)")
    stage = phone.locator("#stage").bounding_box()
    x, y = stage["x"] + 0.2 * stage["width"], stage["y"] + 0.8 * stage["height"]
    swipe([(x, y - 40 * step) for step in range(6)])
    phone.wait_for_function("scrollY > 100")  # beside the digit, a finger scrolls


def test_only_what_was_seen_is_shown(page):
    page.evaluate("state.first = [-1, -1]")

    def corner():
        """The colour of the bottom right corner, which was not seen."""
        box = page.locator("#stage").bounding_box()
        at = {"x": box["x"] + box["width"] - 12, "y": box["y"] + box["height"] - 12, "width": 1, "height": 1}
        return Image.open(io.BytesIO(page.screenshot(clip=at))).convert("RGB").getpixel((0, 0))

    page.locator("#tidy").click()
    page.evaluate("state.playing = false; move_digit(0, 0); go(0)")
    assert corner() == (0, 0, 0)
    page.locator("#eyes").check()
    assert corner() == (43, 49, 56)
