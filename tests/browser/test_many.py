"""Many images selected and labelled at once, and labels that outlive a dropped connection, in a real browser."""

from __future__ import annotations

import re

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from labeling.models import AuditEvent, Label
from labeling.services.labels import NewLabel, label_images
from tests.browser.conftest import SCREENSHOTS, log_in
from tests.browser.test_accessibility import serious
from tests.conftest import PASSWORD

ONE_SIZE = pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])
DROPPED = "net::ERR_"


@pytest.fixture
def tiles(page: Page, drawn_plate, scientist):
    """The tiles of Review's bad band, the scientist logged in."""
    log_in(page, scientist.username)
    page.goto(f"/experiments/{drawn_plate.pk}/review/")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    return page.locator(".band-bad .tile")


def selected(page: Page) -> int:
    return page.locator(".tile.is-selected").count()


def ids_of(tiles, *places: int) -> list[int]:
    return [int(tiles.nth(place).get_attribute("data-image")) for place in places]


def in_force(experiment) -> dict[int, str]:
    return {pk: label.verdict for pk, label in Label.objects.in_force(experiment).items()}


def test_a_range_is_labelled_and_taken_back_in_one_step(page: Page, tiles, shot, drawn_plate):
    tiles.nth(1).locator(".tile-picture").click(modifiers=["ControlOrMeta"])
    tiles.nth(4).locator(".tile-picture").click(modifiers=["Shift"])
    expect(page.locator("#many-count")).to_have_text("4 images selected")
    expect(page.locator("#drawer")).to_be_hidden()
    expect(tiles.nth(2).get_by_role("checkbox")).to_be_checked()
    tiles.nth(3).hover()
    tiles.nth(3).get_by_role("checkbox").click()
    tiles.nth(6).locator(".tile-picture").click(modifiers=["ControlOrMeta"])
    chosen = ids_of(tiles, 1, 2, 4, 6)
    shot("many-selected")

    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="Label 4 images bad?")).to_be_visible()
    page.keyboard.press("3")
    shot("many-confirm")
    assert not Label.objects.exists()
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("4 images labelled bad (dried).")
    expect(page.locator(".band-bad .is-saving")).to_have_count(0)
    expect(tiles.nth(6).locator(".tile-defects")).to_have_text("dried")
    expect(page.locator("#many")).to_be_hidden()
    shot("many-labelled")
    assert in_force(drawn_plate) == dict.fromkeys(chosen, "bad")

    page.keyboard.press("z")
    expect(page.locator("#toast")).to_contain_text("The labels of 4 images are taken back.")
    expect(tiles.nth(6)).not_to_have_class(re.compile("is-bad"))
    assert in_force(drawn_plate) == {}


@ONE_SIZE
@pytest.mark.allow_complaints("404")  # a drawn plate has no files to look closer at
def test_the_keyboard_alone_selects_and_labels(page: Page, tiles, drawn_plate, shot):
    tiles.first.focus()
    page.keyboard.press("x")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#many-count")).to_have_text("3 images selected")
    page.keyboard.press("Escape")
    assert selected(page) == 0

    page.keyboard.press("x")  # the third
    page.keyboard.press("g")  # one is labelled at once
    expect(tiles.nth(2)).to_have_class(re.compile("is-good"))

    page.keyboard.press("w")
    expect(page.locator("#many-count")).to_contain_text("2 images selected")
    page.keyboard.press("u")
    expect(page.locator("#confirm-many")).to_contain_text("Until now: 1 labelled good. The history keeps it.")
    page.keyboard.press("Escape")  # thinks better of it; the selection stays
    expect(page.locator("#many-count")).to_contain_text("2 images selected")
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("2 images labelled unsure.")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .image-view")).to_be_visible()
    page.keyboard.press("x")
    shot("many-drawer")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#many")).to_be_hidden()
    third = drawn_plate.images.get(pk=ids_of(tiles, 2)[0])
    assert in_force(drawn_plate) == dict.fromkeys(third.well.images.values_list("pk", flat=True), "unsure")

    page.keyboard.press("ControlOrMeta+a")
    n = page.evaluate("new Set([...document.querySelectorAll('.tile')].map((tile) => tile.dataset.image)).size")
    expect(page.locator("#many-count")).to_have_text(f"{n} images selected")


@ONE_SIZE
def test_a_box_dragged_on_empty_ground_selects_what_it_touches(page: Page, tiles):
    boxes = [tiles.nth(n).bounding_box() for n in range(3)]
    y = boxes[0]["y"] + boxes[0]["height"] + 4  # between two rows of tiles
    page.mouse.move(boxes[0]["x"] + 4, y)
    page.mouse.down()
    page.mouse.move(boxes[2]["x"] + 20, y - 60, steps=5)
    expect(page.locator(".selection-box")).to_be_visible()
    page.mouse.up()
    expect(page.locator(".selection-box")).to_have_count(0)
    assert [tiles.nth(n).get_by_role("checkbox").is_checked() for n in range(4)] == [True, True, True, False]


@ONE_SIZE
def test_two_undos_after_somebody_else_spoke_leave_their_word(page: Page, tiles, drawn_plate, second_scientist):
    first, second = ids_of(tiles, 0, 1)
    tiles.nth(0).locator(".tile-picture").click(modifiers=["ControlOrMeta"])
    tiles.nth(1).locator(".tile-picture").click(modifiers=["ControlOrMeta"])
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("2 images labelled bad.")
    label_images([NewLabel(second, "good")], by=second_scientist)
    page.get_by_role("button", name="Undo z").click()
    expect(page.locator("#toast")).to_contain_text("Left as they are: 1 image labelled again")
    assert in_force(drawn_plate) == {second: "good"}
    assert first not in in_force(drawn_plate)


@ONE_SIZE
def test_the_queue_is_labelled_at_once_too(page: Page, tiles, drawn_plate, shot):
    page.goto(f"/experiments/{drawn_plate.pk}/queue/")
    expect(page.locator(".queue .tile").first).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    shot("many-queue")
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    expect(page.locator("#queue-progress")).to_contain_text("All of these are labelled")
    expect(page.locator("#toast")).to_contain_text("20 images labelled good.")
    assert Label.objects.count() == 20


# --- nothing lost ---------------------------------------------------------------------------------------


@ONE_SIZE
@pytest.mark.allow_complaints(DROPPED)
def test_labels_outlive_a_dropped_connection_and_a_reload_and_are_stored_once(page: Page, tiles, drawn_plate, shot):
    """The second label arrives, but its answer is lost: it is sent again, and stored once."""
    address = f"**/experiments/{drawn_plate.pk}/labels/**"
    one, other, third = ids_of(tiles, 0, 1, 2)
    page.route(address, lambda route: route.abort())
    tiles.first.focus()
    page.keyboard.press("b")
    expect(page.locator("#unsaved")).to_have_text("1 label not saved yet, retrying")
    tiles.nth(1).locator(".tile-picture").click(modifiers=["ControlOrMeta"])
    tiles.nth(2).locator(".tile-picture").click(modifiers=["ControlOrMeta"])
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    expect(page.locator("#unsaved")).to_have_text("3 labels not saved yet, retrying")
    shot("not-saved-yet")
    page.reload()
    expect(page.locator("#unsaved")).to_have_text("3 labels not saved yet, retrying")
    expect(tiles.nth(0)).to_have_class(re.compile("is-bad.*is-saving"))
    expect(tiles.nth(1)).to_have_class(re.compile("is-good.*is-saving"))
    assert not Label.objects.exists()

    def loses_the_answer(route):
        route.fetch()  # the server stores it
        route.abort()

    page.unroute(address)
    page.route(address, loses_the_answer, times=1)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/labels/")):
        page.reload()
    expect(page.locator("#unsaved")).to_be_hidden(timeout=15_000)
    expect(page.locator(".is-saving")).to_have_count(0)
    assert in_force(drawn_plate) == {one: "bad", other: "good", third: "good"}
    assert Label.objects.count() == 3
    assert AuditEvent.objects.filter(action="image.labelled").count() == 3
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes('waiting')).length") == 0


@ONE_SIZE
@pytest.mark.allow_complaints("409")
def test_a_refusal_is_named_and_stays_until_it_is_dismissed(page: Page, tiles, drawn_plate, second_scientist, shot):
    (image,) = ids_of(tiles, 0)
    name = tiles.first.locator(".tile-place").inner_text()
    tiles.first.focus()
    page.keyboard.press("b")
    expect(tiles.first).not_to_have_class(re.compile("is-saving"))
    label_images([NewLabel(image, "good")], by=second_scientist)
    page.keyboard.press("z")
    expect(page.locator("#refused")).to_contain_text("1 label was refused")
    expect(page.locator("#refused")).to_contain_text(f"Undo of {name} bad: The last label of")
    expect(page.locator("#refused")).to_contain_text("is Rosa Well's; give your own verdict instead.")
    expect(tiles.first).to_have_class(re.compile("is-good"))  # hers
    shot("refused")
    page.keyboard.press("u")  # what follows is not held up
    expect(tiles.first).to_have_class(re.compile("is-unsure"))
    page.reload()
    expect(page.locator("#refused")).to_contain_text("1 label was refused")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#refused")).to_be_hidden()
    page.reload()
    expect(page.locator("#refused")).to_be_hidden()


@ONE_SIZE
def test_labels_wait_for_their_person_to_log_in_again(page: Page, tiles, drawn_plate, scientist, second_scientist):
    Session.objects.all().delete()
    tiles.first.focus()
    page.keyboard.press("b")
    expect(page.locator("#unsaved")).to_have_text("1 label not saved yet, kept in this browser: log in again as grace")

    # Somebody else at this browser sends nothing of it, neither from a new page nor from the old one.
    old = page
    new = page.context.new_page()
    log_in(new, second_scientist.username)
    new.goto(f"/experiments/{drawn_plate.pk}/review/")
    expect(new.locator(".tile").first).to_be_visible()
    expect(new.locator("#unsaved")).to_be_hidden()
    new.close()
    assert not Label.objects.exists()

    old.context.clear_cookies()
    old.get_by_role("link", name="log in again as grace").click()
    old.get_by_label("Log-in").fill(scientist.username)
    old.get_by_label("Password").fill(PASSWORD)
    old.get_by_role("button", name="Log in").click()
    expect(old.locator(".band-bad .tile").first).to_have_class(re.compile("is-bad"))
    expect(old.locator("#unsaved")).to_be_hidden()
    assert [label.by.username for label in Label.objects.all()] == ["grace"]


@ONE_SIZE
def test_how_fast_one_labels_is_said_while_one_does(page: Page, tiles):
    expect(page.locator("#pace")).to_be_hidden()
    tiles.first.focus()
    for _ in range(3):
        page.keyboard.press("g")
        page.keyboard.press("ArrowRight")
    expect(page.locator("#pace")).to_have_text(re.compile(r"^\d+ images/min$"))


@ONE_SIZE
def test_the_bar_and_the_question_have_no_serious_issue(page: Page, tiles):
    page.keyboard.press("ControlOrMeta+a")
    expect(page.locator("#many")).to_be_visible()
    assert serious(page) == []
    page.keyboard.press("b")
    expect(page.locator("#confirm-many")).to_be_visible()
    assert serious(page) == []


def test_without_scripts_boxes_are_ticked_and_counted(browser, live_server, scientist, drawn_plate):
    """The same bar is a plain form: whoever ticks says how many they ticked."""
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, scientist.username)
    page.goto(f"/experiments/{drawn_plate.pk}/review/")
    boxes = page.locator(".band-bad .tile input[type=checkbox]")
    for n in range(3):
        boxes.nth(n).check()
    page.get_by_label("Images ticked").fill("2")
    page.locator("#many").get_by_role("button", name="Bad").click()
    expect(page.locator(".message")).to_contain_text("You confirmed 2 images, but 3 are named. Nothing was saved")
    for n in range(3):
        boxes.nth(n).check()
    page.get_by_label("Images ticked").fill("3")
    page.screenshot(path=SCREENSHOTS / "many-plain.png", full_page=True)
    page.locator("#many").get_by_role("button", name="Bad").click()
    expect(page.locator(".message")).to_contain_text("3 images labelled bad.", timeout=15_000)
    assert Label.objects.count() == 3
    context.close()
