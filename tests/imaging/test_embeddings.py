"""Pictures to vectors: our own network, a network the lab names, any number of channels."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto

from imaging.embeddings import EmbeddingRecipe, UnusableNetwork, check_network_file, embed_fields, find_network
from imaging.embeddings.export import export_network
from imaging.embeddings.fields import embed_planes
from imaging.embeddings.planes import pictures
from imaging.embeddings.runtime import input_side_px, run_network
from imaging.measure import Field, FileOfField
from imaging.previews import DisplayRange
from tests.conftest import ROOT
from tests.labeling.plates_on_disk import pixels, write
from tests.networks import write_network

SHOWN = DisplayRange(100, 2000)
CATS = range(281, 286)  # ImageNet's house cats


@pytest.fixture(scope="session")
def own_network():
    """Exported once on this computer, then found again by its version."""
    return find_network("", cache=ROOT / "var" / "networks")


@pytest.fixture
def tiny(tmp_path) -> EmbeddingRecipe:
    network = find_network(str(write_network(tmp_path / "tiny.onnx")), cache=tmp_path)
    return EmbeddingRecipe(network, (SHOWN, SHOWN))


def shown(*planes: np.ndarray, side_px: int = 96) -> np.ndarray:
    return pictures(planes, [SHOWN] * len(planes), side_px)


# --- our own network ----------------------------------------------------------------------------------


def test_the_network_tells_a_cat():
    """The published weights sit where they belong, padding and scaling included."""
    import torch
    from skimage import data

    from imaging.embeddings.network import load_network

    cat = cv2.resize(data.chelsea()[:, 75:375], (224, 224), interpolation=cv2.INTER_AREA)
    planes = torch.from_numpy((cat.transpose(2, 0, 1)[None].astype(np.float32) - 127) / 128)
    likely = load_network().classify(planes).softmax(1)[0].topk(3)
    assert set(likely.indices.tolist()) <= set(CATS)
    assert likely.values.sum() > 0.8


def test_the_exported_network_gives_torchs_numbers(own_network):
    import torch

    from imaging.embeddings.network import SIDE_PX, load_network

    given = shown(*(pixels(seed, side_px=300) for seed in range(3)), side_px=SIDE_PX)
    assert input_side_px(own_network.local_path()) == SIDE_PX
    by_torch = load_network()(torch.from_numpy(given.copy())).numpy()
    assert run_network(own_network.local_path(), given) == pytest.approx(by_torch, abs=5e-5, rel=3e-5)


def test_a_vector_tells_the_field_and_its_highest_and_lowest_places():
    """Of each stage the mean of its planes, then their highest, then their lowest place: one crumb is one place."""
    import torch

    from imaging.embeddings.network import SIDE_PX, load_network

    plain = pixels(1, side_px=SIDE_PX)
    with_crumb = plain.copy()
    with_crumb[200:212, 200:212] = SHOWN.high
    given = np.concatenate([shown(plain, side_px=SIDE_PX), shown(with_crumb, side_px=SIDE_PX)])
    with torch.inference_mode():
        without, seen = load_network()(torch.from_numpy(given)).numpy()
    assert without.shape == (3 * (24 + 40 + 80),)
    for planes in np.split(without, [3 * 24, 3 * (24 + 40)]):
        mean, highest, lowest = np.split(planes, 3)
        assert (lowest < mean).all()
        assert (mean < highest).all()
    mean, highest, _lowest = np.split(np.abs(seen - without)[: 3 * 24], 3)
    assert highest.max() > 10 * mean.max()


def test_the_network_is_exported_once(own_network):
    before = own_network.path.stat()
    assert export_network(own_network.path.parent) == own_network.path
    assert own_network.path.stat().st_mtime_ns == before.st_mtime_ns
    assert not list(own_network.path.parent.glob("*.part"))


def test_sharper_cells_give_another_vector_than_blurred_ones(own_network):
    recipe = EmbeddingRecipe(own_network, (SHOWN,))
    sharp = pixels(3, side_px=224)
    twin = pixels(4, side_px=224)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 4)
    vectors = [embed_planes([plane], recipe) for plane in (sharp, twin, blurred)]
    assert np.linalg.norm(vectors[0] - vectors[2]) > 2 * np.linalg.norm(vectors[0] - vectors[1])


def test_importing_embeddings_imports_neither_torch_nor_onnxruntime():
    """A web server and measuring processes start as fast as without them."""
    code = "import sys, imaging.embeddings; print({'torch', 'onnxruntime', 'onnx'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


# --- channels and pictures ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
def test_any_number_of_channels_gives_vectors_of_one_length(tiny, n_channels):
    recipe = replace(tiny, ranges=(SHOWN,) * n_channels)
    vector = embed_planes([pixels(seed) for seed in range(n_channels)], recipe)
    assert (vector.shape, vector.dtype) == ((18,), np.float32)


def test_the_order_of_channels_changes_nothing(tiny):
    a, b = pixels(1), pixels(2, light=3)
    assert embed_planes([a, b], tiny) == pytest.approx(embed_planes([b, a], tiny), abs=1e-6)
    assert embed_planes([a, a], tiny) != pytest.approx(embed_planes([a, b], tiny), abs=1e-3)


def test_dim_stays_dim():
    """The range is the experiment's, not the image's own."""
    (bright,), (dim,) = shown(pixels(1, light=1)), shown(pixels(1, light=0.2))
    assert bright.max() > 3 * abs(dim.max())
    assert bright.shape == (3, 96, 96)
    assert (bright.min(), bright.max()) >= (-127 / 128, 0)
    assert bright.max() <= 1


def test_the_last_picture_is_what_all_channels_share():
    """A crumb glows in every channel, cells in one: only the crumb is left."""
    one, other = np.full((2, 96, 96), SHOWN.low, np.uint16)
    one[10:20, 10:20] = other[60:70, 60:70] = SHOWN.high
    one[40:44, 40:44] = other[40:44, 40:44] = SHOWN.high
    *channels, shared = shown(one, other)
    assert (shared == np.minimum(*channels)).all()
    is_left = shared[0] > 0.9
    assert is_left.sum() == 16
    assert is_left[40:44, 40:44].all()


def test_a_network_is_shown_pictures_of_the_side_it_asks_for(tmp_path):
    network = find_network(str(write_network(tmp_path / "small.onnx", shape=(96, 96))), cache=tmp_path)
    assert input_side_px(network.local_path()) == 96
    assert embed_planes([pixels(1)], EmbeddingRecipe(network, (SHOWN,))).shape == (18,)


# --- fields -------------------------------------------------------------------------------------------


def test_a_broken_file_fails_its_field_only(tiny, tmp_path):
    good = write(tmp_path / "good.tif", pixels(1))
    torn = tmp_path / "torn.tif"
    torn.write_bytes(good.read_bytes()[:200])
    fields = [
        Field(key, (FileOfField("DNA", str(good)), FileOfField("ER", str(second))))
        for key, second in ((7, torn), (8, good))
    ]
    broken, whole = embed_fields(fields, tiny)
    assert (broken.key, broken.vector) == (7, None)
    assert broken.problem.startswith("ER: ")
    assert (whole.key, whole.problem) == (8, "")
    assert whole.vector == pytest.approx(embed_planes([pixels(1), pixels(1)], tiny))


# --- a network the lab names --------------------------------------------------------------------------


def test_the_version_of_a_named_network_follows_its_bytes(tmp_path):
    first = find_network(str(write_network(tmp_path / "a.onnx")), cache=tmp_path)
    same = find_network(str(write_network(tmp_path / "b.onnx")), cache=tmp_path)
    (tmp_path / "c.onnx").write_bytes((tmp_path / "a.onnx").read_bytes() + b"\xa2\x06\x00")  # an empty unknown field
    assert first.version == same.version
    assert first.version.startswith("sha256:")
    assert find_network(str(tmp_path / "c.onnx"), cache=tmp_path).version != first.version


def test_a_good_file_tells_the_length_of_its_vectors(tmp_path):
    assert check_network_file(write_network(tmp_path / "tiny.onnx")) == 9


def wrong_files(folder: Path) -> dict[str, Path]:
    text = folder / "notes.onnx"
    text.write_text("not a network")
    return {
        "There is no file": folder / "nowhere.onnx",
        "is not an ONNX network": text,
        "takes ['batch', 3, 96, 64]": write_network(folder / "oblong.onnx", shape=(96, 64)),
        "takes planes: tensor(double)": write_network(folder / "double.onnx", kind=TensorProto.DOUBLE),
        "(2, 9, 1, 1)": write_network(folder / "planes.onnx", flat=False),
    }


def test_a_wrong_file_is_told_in_words(tmp_path):
    for words, path in wrong_files(tmp_path).items():
        with pytest.raises(UnusableNetwork) as told:
            check_network_file(path)
        assert words in str(told.value)
        assert str(path) in str(told.value)
