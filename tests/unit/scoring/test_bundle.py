"""Bundles with altered, missing or inconsistent files are refused."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from shared.errors import BundleRefused
from shared.features.catalogue import FEATURE_NAMES
from shared.scoring.bundle import EXPLANATION, MANIFEST, REASONS, SERVED, Bundle, Manifest, served
from shared.scoring.bundle_files import GOLDEN_BYTES, golden
from shared.scoring.explanation import Explanation, log_odds
from tests.unit.learning.bundles import INFINITE, NAMES, NOT_A_NUMBER, RAISES, faulty, small_bundle


@pytest.mark.parametrize("name", [*SERVED, REASONS, MANIFEST])
def test_a_bundle_with_an_altered_or_missing_file_is_refused(trained_bundle: dict[str, bytes], name: str) -> None:
    files = trained_bundle
    assert Bundle(files)
    data = files[name]
    places = [0, len(data) // 2, len(data) - 1]
    spoilt = [data[:i] + bytes([data[i] ^ 0x10]) + data[i + 1 :] for i in places] + [data[:-1], b""]
    refused = 0
    for variant in spoilt:
        try:
            Bundle({**files, name: variant})
        except BundleRefused:
            refused += 1
    # The manifest is not hashed: a flipped bit inside its free text may leave it valid.
    assert refused == len(spoilt) or (name == MANIFEST and refused >= len(spoilt) - 1)
    with pytest.raises(BundleRefused):
        Bundle({other: content for other, content in files.items() if other != name})


def test_a_bundle_without_a_feature_set_is_refused(trained_bundle: dict[str, bytes]) -> None:
    files = trained_bundle
    manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
    unnamed = msgspec.json.encode(msgspec.structs.replace(manifest, feature_set=None))
    with pytest.raises(BundleRefused, match="trained on feature set None"):
        Bundle({**files, MANIFEST: unnamed})


def test_a_bundle_that_declares_another_explanation_or_none_is_refused(trained_bundle: dict[str, bytes]) -> None:
    manifest = msgspec.json.decode(trained_bundle[MANIFEST], type=Manifest)
    assert (manifest.explanation, REASONS in served(manifest)) == ("SHAPLEY", True)
    for declared in ({"explanation": None}, {"explanation": "OCCLUSION"}, {"background": "0" * 64}):
        other = msgspec.json.encode(msgspec.structs.replace(manifest, **declared))
        with pytest.raises(BundleRefused, match="kind of its reasons"):
            Bundle({**trained_bundle, MANIFEST: other})


def test_contributions_add_up_to_the_log_odds_of_the_raw_score(trained_bundle: dict[str, bytes]) -> None:
    bundle = Bundle(trained_bundle)
    base = msgspec.json.decode(trained_bundle[EXPLANATION], type=Explanation).base
    inputs, _ = golden(trained_bundle["golden.npz"])
    features = np.full((len(inputs), len(FEATURE_NAMES)), np.nan, np.float32)
    features[:, [FEATURE_NAMES.index(name) for name in bundle.feature_names]] = inputs
    found = bundle.contributions(features)
    assert found.shape == (len(inputs), len(bundle.reason_codes))
    np.testing.assert_allclose(base + found.sum(axis=1), log_odds(bundle.raw(inputs)), rtol=1e-4)
    assert np.ptp(found, axis=0).max() > 0.1


def test_contributions_that_do_not_add_up_are_refused(trained_bundle: dict[str, bytes]) -> None:
    about = msgspec.json.decode(trained_bundle[EXPLANATION], type=Explanation)
    shifted = msgspec.structs.replace(about, base=about.base + 0.01)
    with pytest.raises(BundleRefused, match="add up"):
        Bundle(_resealed(trained_bundle, reasons__json=msgspec.json.encode(shifted)))
    with pytest.raises(BundleRefused, match="does not fit"):
        Bundle(_resealed(trained_bundle, reasons__onnx=trained_bundle["model.onnx"]))


def test_groups_that_are_not_those_of_the_inputs_are_refused(trained_bundle: dict[str, bytes]) -> None:
    about = msgspec.json.decode(trained_bundle[EXPLANATION], type=Explanation)
    code, members = next(iter(about.groups.items()))
    rest = {name: own for name, own in about.groups.items() if name != code}
    for groups in (rest, about.groups | {code: members[1:]}, about.groups | {"OTHER": members}):
        other = msgspec.json.encode(msgspec.structs.replace(about, groups=groups))
        with pytest.raises(BundleRefused, match=r"reasons\.json"):
            Bundle(_resealed(trained_bundle, reasons__json=other))


def test_a_group_without_exact_reasons_contributes_the_fall_of_the_log_odds() -> None:
    bundle = Bundle(small_bundle("v1", slope=2.0))
    features = np.zeros((2, len(FEATURE_NAMES)), np.float32)
    features[0, :3] = (0.5, -0.25, np.nan)
    found = bundle.contributions(features)
    usual = np.nan_to_num(bundle.baseline)
    assert (bundle.reason_codes, bundle.explains_all) == (["AMOUNT"], False)
    np.testing.assert_allclose(found[:, 0], [2 * (0.25 - usual.sum()), -2 * usual.sum()], rtol=1e-4)


def _resealed(files: dict[str, bytes], **changed: bytes) -> dict[str, bytes]:
    """Return the bundle as somebody would make it who knows how to hash."""
    from shared.learning.training.packing import sealed

    content = {name: data for name, data in files.items() if name != MANIFEST}
    content |= {name.replace("__", "."): data for name, data in changed.items()}
    return sealed(content, msgspec.json.decode(files[MANIFEST], type=Manifest))


def test_a_bundle_with_valid_hashes_and_wrong_scores_is_refused(trained_bundle: dict[str, bytes]) -> None:
    files = trained_bundle
    assert Bundle(_resealed(files))
    names = msgspec.json.decode(files["features.json"], type=list[str])
    shifted = msgspec.json.encode(names[1:] + names[:1])
    unknown = msgspec.json.encode(["who_knows", *names[1:]])
    steeper = msgspec.json.encode({"x": [0.0, 0.5, 1.0], "y": [0.0, 1.0, 1.0]})
    for changed in (
        {"model__onnx": files["model.skops"]},
        {"model__onnx": b"\x80\x04K\x01."},
        {"features__json": unknown},
        {"features__json": msgspec.json.encode(names[1:])},
        {"calibration__json": steeper},
        {"golden__npz": files["model.skops"]},
        {"profile__json": b"{}"},
    ):
        with pytest.raises(BundleRefused):
            Bundle(_resealed(files, **changed))
    assert Bundle(_resealed(files, features__json=shifted))  # the golden vectors speak of inputs, not of names


SMALL = small_bundle("v1")


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _truncated_member() -> bytes:
    """Return an archive with a member that ends in the middle of its header: NumPy raises EOFError or ValueError."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        files.writestr("features.npy", b"\x93NUMPY")
        files.writestr("scores.npy", b"")
    return buffer.getvalue()


def _enormous() -> bytes:
    """Return an archive whose vectors would take 8 exabytes."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 1073741824)}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        head = header.ljust(117) + b"\n"
        files.writestr("features.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    return buffer.getvalue()


VECTORS, SCORES = np.zeros((2, len(NAMES)), np.float32), np.full(2, 0.5)
GOLDEN = {
    "empty": b"",
    "no archive": b"text",
    "empty archive": _npz(),
    "truncated": _truncated_member(),
    "too large to allocate": _enormous(),
    "too large unpacked": _npz(features=np.zeros((GOLDEN_BYTES // 8 + 1, 2), np.float32), scores=SCORES),
    "no scores": _npz(features=VECTORS),
    "no rows": _npz(features=VECTORS[:0], scores=SCORES[:0]),
    "objects": _npz(features=np.array([{}, []], dtype=object), scores=SCORES),
    "one score for all": _npz(features=VECTORS, scores=SCORES[:1]),
    "a score that is NaN": _npz(features=VECTORS, scores=np.array([0.5, np.nan])),
    "an infinite input": _npz(features=np.full_like(VECTORS, np.inf), scores=SCORES),
    "too few inputs": _npz(features=VECTORS[:, :1], scores=SCORES),
    "doubles": _npz(features=VECTORS.astype(np.float64), scores=SCORES),
    "text": _npz(features=VECTORS.astype(str), scores=SCORES),
}


def test_the_vectors_of_these_tests_are_valid() -> None:
    assert Bundle(_resealed(SMALL, golden__npz=_npz(features=VECTORS, scores=SCORES)))


@pytest.mark.parametrize("kind", GOLDEN)
def test_golden_vectors_of_any_other_shape_or_content_are_refused(kind: str) -> None:
    with pytest.raises(BundleRefused):
        Bundle(_resealed(SMALL, golden__npz=GOLDEN[kind]))


@pytest.mark.parametrize("median", [[1.0], {}, "1", True, 1e39, -1e39])
def test_medians_that_are_not_numbers_are_refused(median: Any) -> None:
    features = {name: {"median": 0.0} for name in NAMES}
    assert Bundle(_resealed(SMALL, profile__json=json.dumps({"features": features}).encode()))
    features[NAMES[1]] = {"median": median}
    for profile in ({"features": features}, {"features": [features]}, [features], {"features": {NAMES[0]: 1.0}}):
        with pytest.raises(BundleRefused, match="profile"):
            Bundle(_resealed(SMALL, profile__json=json.dumps(profile).encode()))


@pytest.mark.parametrize("wrong", [1e300, 1.0000001, 1.5, 2.5, -0.5, 0.0, None, "off", [0.5]])
@pytest.mark.parametrize("part", ["hold", "reject"])
def test_thresholds_are_probabilities_or_off(part: str, wrong: Any) -> None:
    sound = {"hold": 0.5, "reject": 0.9}
    for good in (sound, sound | {"reject": 1.0}, sound | {"reject": 2.0}, {"hold": 2.0, "reject": 2.0}):
        assert Bundle(_resealed(SMALL, policy__json=json.dumps({"payer": sound, "payee": good}).encode()))
    with pytest.raises(BundleRefused, match="policy"):
        Bundle(_resealed(SMALL, policy__json=json.dumps({"payer": sound, "payee": sound | {part: wrong}}).encode()))


@pytest.mark.parametrize("table", [RAISES, NOT_A_NUMBER, INFINITE], ids=["raises", "NaN", "infinity"])
def test_a_model_that_cannot_explain_a_golden_score_is_refused(table: Any) -> None:
    files = small_bundle("v1", onnx=faulty(table))
    medians = {name: {"median": 1e6} for name in NAMES}
    with pytest.raises(BundleRefused, match="golden"):
        Bundle(_resealed(files, profile__json=json.dumps({"features": medians}).encode()))


@given(st.sampled_from([*sorted(set(SERVED) - {"model.onnx"}), MANIFEST]), st.data())
def test_no_content_of_a_file_raises_anything_else(name: str, data: st.DataObject) -> None:
    good = SMALL[name]
    at = data.draw(st.integers(0, len(good)))
    written = data.draw(st.binary(max_size=20) | st.sampled_from([b"[", b"null", b"1e999", b"\xff", b"[" * 2_000]))
    spoilt = good[:at] + written + good[data.draw(st.integers(at, len(good))) :]
    files = {**SMALL, MANIFEST: spoilt} if name == MANIFEST else None
    try:
        Bundle(files or _resealed(SMALL, **{name.replace(".", "__"): spoilt}))
    except BundleRefused:
        pass
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        assert name in ("features.json", EXPLANATION), "sealing a bundle reads its features and explanation"


def test_a_model_for_batches_of_one_size_is_refused(trained_bundle: dict[str, bytes]) -> None:
    for name in ("model.onnx", REASONS):
        model = onnx.load_from_string(trained_bundle[name])
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = len(golden(trained_bundle["golden.npz"])[0])
        with pytest.raises(BundleRefused, match="golden vectors cannot be computed"):
            Bundle(_resealed(trained_bundle, **{name.replace(".", "__"): model.SerializeToString()}))


def test_a_score_that_depends_on_its_batch_is_refused() -> None:
    model = onnx.load_from_string(SMALL["model.onnx"])
    [last] = [node for node in model.graph.node if node.output[0] == "score"]
    last.output[0] = "alone"
    model.graph.node.extend(
        [
            helper.make_node("Size", ["alone"], ["size"]),
            helper.make_node("Cast", ["size"], ["rows"], to=TensorProto.FLOAT),
            helper.make_node("Equal", ["rows", "golden"], ["same"]),
            helper.make_node("Where", ["same", "alone", "half"], ["score"]),
        ]
    )
    for value, name in ((64.0, "golden"), (0.5, "half")):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    assert len(golden(SMALL["golden.npz"])[0]) == 64
    with pytest.raises(BundleRefused, match="depends on its batch"):
        Bundle(_resealed(SMALL, model__onnx=model.SerializeToString()))
