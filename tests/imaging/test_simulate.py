"""The simulated plate: reproducible to the byte, true to its own truth, and spoiled in the way it says."""

import csv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile

from imaging.simulate import (
    DEFECTS,
    PHENOTYPES,
    WHOLE_WELL_DEFECTS,
    PlateRecipe,
    field_files,
    plan_plate,
    render_field,
    write_plate,
)

SMALL = PlateRecipe(seed=5, rows=3, columns=8, sites=2, size=(128, 160), bad_share=0.4)
FIELD = PlateRecipe(seed=5, rows=2, columns=3, sites=1, size=(260, 260), bad_share=0.0)
DNA, ER, AGP = range(3)


@pytest.fixture(scope="module")
def default_plan():
    return plan_plate(PlateRecipe())


@pytest.fixture(scope="module")
def good():
    """A plan without phenotype or defect, dense enough that every channel holds cells."""
    plan = next(plan for plan in plan_plate(FIELD) if not plan.phenotype)
    return replace(plan, density=1.0)


def spoiled(plan, defect, severity, channels="DNA+ER+AGP"):
    return replace(plan, is_bad=True, defect=defect, severity=severity, defect_channels=channels)


def sharpness(plane):
    return cv2.Laplacian(cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 1.0), cv2.CV_32F).var()


def count_nuclei(dna):
    smooth = cv2.GaussianBlur(dna.astype(np.float32), (0, 0), 1.5)
    count, _, stats, _ = cv2.connectedComponentsWithStats((smooth > 1000).astype(np.uint8))
    return sum(area > 60 for area in stats[1:count, cv2.CC_STAT_AREA])


# -- the plan


def test_bad_share_is_as_asked(default_plan):
    assert sum(plan.is_bad for plan in default_plan) == round(0.11 * len(default_plan))


@pytest.mark.parametrize("sites", [1, 2, 4])
def test_small_share_is_met_with_any_number_of_sites(sites):
    plans = plan_plate(PlateRecipe(sites=sites, bad_share=0.05))
    assert sum(plan.is_bad for plan in plans) == pytest.approx(0.05 * len(plans), abs=1)


def test_whole_plate_may_be_bad_or_good():
    assert not any(plan.is_bad for plan in plan_plate(replace(SMALL, bad_share=0.0)))
    assert all(plan.is_bad for plan in plan_plate(replace(SMALL, bad_share=1.0)))


def test_every_defect_and_phenotype_occurs_in_default_plate(default_plan):
    assert {plan.defect for plan in default_plan} == {"", *DEFECTS}
    assert {plan.phenotype for plan in default_plan if plan.role == "sample"} == {"", *PHENOTYPES}


def test_severities_reach_from_subtle_to_gross(default_plan):
    severities = [plan.severity for plan in default_plan if plan.is_bad]
    assert min(severities) < 0.2 < 0.8 < max(severities) <= 1


def test_truth_is_consistent(default_plan):
    for plan in default_plan:
        assert plan.is_bad == bool(plan.defect) == (plan.severity > 0) == bool(plan.defect_channels)
        assert bool(plan.phenotype) == (plan.effect > 0)
        assert bool(plan.control_class) == (plan.role == "control")


def test_controls_fill_outer_two_columns_on_each_side(default_plan):
    assert {plan.column for plan in default_plan if plan.role == "control"} == {1, 2, 23, 24}
    assert {plan.column for plan in default_plan if plan.role == "sample"} == set(range(3, 23))
    classes = Counter(plan.control_class for plan in default_plan if plan.role == "control" and plan.site == 1)
    assert classes == {"M0": 32, "M1": 16, "M2": 16}
    assert not any(plan.phenotype for plan in default_plan if plan.control_class == "M0")


def test_effect_grows_with_dose(default_plan):
    doses = {}
    for plan in default_plan:
        if plan.role == "sample" and plan.phenotype:
            doses.setdefault(plan.compound, set()).add((plan.concentration_um, plan.effect))
    assert len(doses) >= len(PHENOTYPES)
    for series in doses.values():
        effects = [effect for _, effect in sorted(series)]
        assert effects == sorted(effects)


def test_whole_well_defects_strike_every_site(default_plan):
    struck = {}
    for plan in default_plan:
        struck.setdefault(plan.well, []).append(plan.defect)
    for kinds in struck.values():
        if set(kinds) & set(WHOLE_WELL_DEFECTS):
            assert len(set(kinds)) == 1


def test_plates_of_one_seed_share_treatments_but_not_defects():
    first, second = plan_plate(SMALL), plan_plate(replace(SMALL, barcode="02"))
    assert [plan.compound for plan in first] == [plan.compound for plan in second]
    assert [plan.defect for plan in first] != [plan.defect for plan in second]


def test_wells_beyond_row_z_have_two_letters():
    plans = plan_plate(PlateRecipe(rows=32, columns=48, sites=1))
    assert len({plan.well for plan in plans}) == 1536
    assert plans[-1].well == "AF48"


@pytest.mark.parametrize(
    "wrong", [{"barcode": "a_b"}, {"rows": 0}, {"channels": ("DAPI",)}, {"size": (8, 8)}, {"bad_share": 2}]
)
def test_impossible_recipe_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        PlateRecipe(**wrong)


# -- the pixels


def test_same_seed_gives_same_pixels_in_any_order():
    plans = plan_plate(SMALL)[::5]
    forwards = [render_field(SMALL, plan) for plan in plans]
    backwards = [render_field(replace(SMALL), plan) for plan in reversed(plans)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))


def test_seed_barcode_and_site_change_the_pixels(good):
    field = render_field(FIELD, good)
    assert not np.array_equal(field, render_field(replace(FIELD, seed=6), good))
    assert not np.array_equal(field, render_field(replace(FIELD, barcode="02"), good))
    assert not np.array_equal(field, render_field(FIELD, replace(good, site=2)))


def test_field_has_the_shape_and_channels_asked_for():
    recipe = replace(SMALL, channels=("AGP", "DNA"))
    plan = plan_plate(SMALL)[0].pristine
    chosen, full = render_field(recipe, plan), render_field(SMALL, plan)
    assert chosen.shape == (2, 128, 160)
    assert chosen.dtype == np.uint16
    assert np.array_equal(chosen, full[[AGP, DNA]])


@pytest.mark.parametrize("ceiling", [4095, 65535])
def test_good_field_stays_far_below_the_ceiling(good, ceiling):
    field = render_field(replace(FIELD, ceiling=ceiling), good)
    assert field.max() < 0.8 * ceiling
    assert field.min() > 100


def test_gain_brightens_the_signal_but_not_the_offset(good):
    usual, bright = render_field(FIELD, good), render_field(replace(FIELD, gain=1.5), good)
    assert (bright.mean() - 140) / (usual.mean() - 140) == pytest.approx(1.5, rel=0.02)


def test_denser_well_holds_more_nuclei(good):
    sparse, dense = (count_nuclei(render_field(FIELD, replace(good, density=d))[DNA]) for d in (0.3, 1.3))
    assert 0 < sparse < dense


@pytest.mark.parametrize("phenotype", PHENOTYPES)
def test_phenotype_changes_cells_and_grows_with_effect(good, phenotype):
    none = render_field(FIELD, good).astype(int)
    weak, strong = (
        render_field(FIELD, replace(good, phenotype=phenotype, effect=effect)).astype(int) for effect in (0.01, 1.0)
    )
    assert np.abs(weak - none).mean() < np.abs(strong - none).mean()
    assert count_nuclei(strong[DNA]) > 0


# -- the defects


@pytest.mark.parametrize("severity", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_of_any_severity_changes_the_field(good, defect, severity):
    before, after = render_field(FIELD, good), render_field(FIELD, spoiled(good, defect, severity))
    assert after.shape == before.shape
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("defect", DEFECTS)
def test_gross_defect_changes_more_than_subtle_one(good, defect):
    before = render_field(FIELD, good).astype(int)
    subtle, gross = (
        np.abs(render_field(FIELD, spoiled(good, defect, severity)).astype(int) - before).mean()
        for severity in (0.05, 1.0)
    )
    # Empty is empty: its severity is only how little is left.
    assert gross > (0.9 if defect == "empty" else 1.5) * subtle


def test_pristine_plan_is_the_field_without_its_defect(good):
    assert spoiled(good, "debris", 0.7).pristine == good


@pytest.mark.parametrize("ceiling", [4095, 65535])
@pytest.mark.parametrize("severity", [0.02, 1.0])
def test_saturated_field_has_pixels_at_the_ceiling(good, severity, ceiling):
    recipe = replace(FIELD, ceiling=ceiling)
    assert (render_field(recipe, good) == ceiling).sum() == 0
    share = (render_field(recipe, spoiled(good, "saturated", severity)) == ceiling).mean(axis=(1, 2))
    assert np.all(share > 0.001)
    assert np.all(share < 0.5)


def test_blur_lowers_sharpness_of_the_channels_it_names(good):
    before = render_field(FIELD, good)
    after = render_field(FIELD, spoiled(good, "blur", 0.5, "ER"))
    assert sharpness(after[ER]) < 0.5 * sharpness(before[ER])
    assert np.array_equal(after[[DNA, AGP]], before[[DNA, AGP]])


def test_worse_focus_is_blurrier(good):
    sharp = [sharpness(render_field(FIELD, spoiled(good, "blur", s))[AGP]) for s in (0.05, 0.3, 0.6, 1.0)]
    assert sharp == sorted(sharp, reverse=True)


@pytest.mark.parametrize("severity", [0.02, 1.0])
def test_empty_field_has_no_nuclei(good, severity):
    assert count_nuclei(render_field(FIELD, good)[DNA]) > 5
    assert count_nuclei(render_field(FIELD, spoiled(good, "empty", severity))[DNA]) == 0


@pytest.mark.parametrize("defect", ["debris", "fibre"])
def test_dirt_adds_light_in_every_channel(good, defect):
    before, after = render_field(FIELD, good), render_field(FIELD, spoiled(good, defect, 0.8))
    assert np.all(after.mean(axis=(1, 2)) > before.mean(axis=(1, 2)))


def test_fibre_is_thin_and_debris_is_not(good):
    def slenderness(defect, site):
        plan = replace(good, site=site)
        added = render_field(FIELD, spoiled(plan, defect, 0.5)).astype(int) - render_field(FIELD, plan)
        _, _, stats, _ = cv2.connectedComponentsWithStats((added.max(axis=0) > 300).astype(np.uint8))
        largest = stats[1:][stats[1:, cv2.CC_STAT_AREA].argmax()]
        span = np.hypot(largest[cv2.CC_STAT_WIDTH], largest[cv2.CC_STAT_HEIGHT])
        return span**2 / largest[cv2.CC_STAT_AREA]

    fibre, debris = (np.median([slenderness(kind, site) for site in range(1, 6)]) for kind in ("fibre", "debris"))
    assert fibre > 2 * debris


def test_bubble_blurs_what_lies_inside_and_nothing_far_away(good):
    before, after = render_field(FIELD, good), render_field(FIELD, spoiled(good, "bubble", 0.3))
    changed = np.abs(after.astype(int) - before).max(axis=0) > 30
    assert 0.02 < changed.mean() < 0.5


def test_drying_lifts_the_background(good):
    before, after = render_field(FIELD, good), render_field(FIELD, spoiled(good, "dried", 0.9))
    assert np.all(np.percentile(after, 10, axis=(1, 2)) > np.percentile(before, 10, axis=(1, 2)))
    assert sharpness(after[DNA]) < sharpness(before[DNA])


def test_uneven_light_leaves_one_side_dark(good):
    def evenness(field):
        blocks = cv2.resize(field[ER].astype(np.float32) - 140, (3, 3), interpolation=cv2.INTER_AREA)
        return blocks.min() / blocks.max()

    plan = replace(good, density=2.0)
    assert evenness(render_field(FIELD, spoiled(plan, "uneven light", 0.9))) < 0.5 * evenness(render_field(FIELD, plan))


# -- the files


def test_file_names_follow_the_known_pattern():
    recipe = PlateRecipe()
    plan = next(plan for plan in plan_plate(recipe) if plan.well == "B07" and plan.site == 2)
    assert field_files(recipe, plan) == [
        "B7_01_1_2_DNA_001.tif",
        "B7_01_2_2_ER_001.tif",
        "B7_01_3_2_AGP_001.tif",
    ]


def test_plate_on_disk_holds_images_platemap_and_truth(tmp_path):
    recipe = replace(SMALL, rows=1, columns=4)
    progress = []
    plans = write_plate(recipe, tmp_path, progress=lambda done, total: progress.append((done, total)))
    assert plans == plan_plate(recipe)
    assert progress[0] == (0, 8)
    assert progress[-1] == (8, 8)
    wanted = {name for plan in plans for name in field_files(recipe, plan)} | {"truth.csv", "platemap.csv"}
    assert {path.name for path in tmp_path.iterdir()} == wanted

    alone = render_field(recipe, plans[3])
    on_disk = [tifffile.imread(tmp_path / name) for name in field_files(recipe, plans[3])]
    assert np.array_equal(alone, np.stack(on_disk))

    with (tmp_path / "truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    assert [(row["well"], int(row["site"]), row["is_bad"] == "True", row["defect"]) for row in truth] == [
        (plan.well, plan.site, plan.is_bad, plan.defect) for plan in plans
    ]
    with (tmp_path / "platemap.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["well"] for row in rows] == ["A01", "A02", "A03", "A04"]
    assert list(rows[0]) == ["well", "role", "control_class", "compound", "concentration_um"]


def test_writing_again_only_fills_gaps(tmp_path):
    recipe = replace(SMALL, rows=1, columns=2)
    plans = write_plate(recipe, tmp_path)
    missing, kept = (tmp_path / field_files(recipe, plan)[0] for plan in plans[:2])
    content = missing.read_bytes()
    missing.unlink()
    written_at = kept.stat().st_mtime_ns
    write_plate(recipe, tmp_path)
    assert missing.read_bytes() == content
    assert kept.stat().st_mtime_ns == written_at


def test_executor_writes_the_same_files(tmp_path):
    recipe = replace(SMALL, rows=1, columns=3)
    write_plate(recipe, tmp_path / "alone")
    with ThreadPoolExecutor(2) as executor:
        write_plate(recipe, tmp_path / "many", executor=executor)
    for path in (tmp_path / "alone").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def test_folder_of_another_plate_is_refused(tmp_path):
    recipe = replace(SMALL, rows=1, columns=2)
    write_plate(recipe, tmp_path)
    with pytest.raises(FileExistsError, match="another recipe"):
        write_plate(replace(recipe, seed=6), tmp_path)
