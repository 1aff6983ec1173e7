"""A scientist looks at a folder, chooses otherwise, and takes the images in."""

from __future__ import annotations

from playwright.sync_api import expect

from labeling.models import Experiment, Job
from tests.browser.conftest import log_in
from tests.labeling.plates_on_disk import pixels, write, write_plate


def test_a_folder_is_looked_at_before_it_is_taken_in(page, shot, scientist, tmp_path):
    folder = write_plate(tmp_path / "Plate 0412", wells=("B02", "B03", "C07"))
    write(folder / "overview of the plate, taken on Monday.tif", pixels())
    for path in sorted(folder.glob("C07*ER*"))[:1]:
        path.write_bytes(b"")
    log_in(page, "grace")
    page.get_by_role("link", name="New experiment").first.click()
    page.get_by_label("Folder or address").fill(str(tmp_path / "gone"))
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#look")).to_contain_text("There is no folder")
    expect(page.get_by_role("button", name="Take these in")).to_have_count(0)

    page.get_by_label("Folder or address").fill(str(folder))
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#look")).to_contain_text("Read as Well, plate, channel, site: 12 image files")
    expect(page.locator("#look tbody tr, #look table tr").nth(1)).to_contain_text("B02")
    shot("look")
    page.locator("select[name=layout]").select_option("sbs")
    page.get_by_role("button", name="Look").click()
    expect(page.locator("#look")).to_contain_text("does not follow the layout sbs")
    shot("look-wrong-layout")
    page.locator("select[name=layout]").select_option("")
    page.get_by_role("button", name="Look").click()
    page.get_by_label("Name", exact=False).first.fill("Screen 12 pilot")
    assert not Experiment.objects.exists()
    page.get_by_role("button", name="Take these in").click()
    page.wait_for_url("**/experiments/*/")
    assert Job.objects.get().parameters == {"source": str(folder), "z": "middle"}
    shot("look-taken")

    # The overview leads to the same look.
    page.get_by_label("Folder or address").fill(str(folder))
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("button", name="Take these in")).to_be_visible()
    shot("look-add")
