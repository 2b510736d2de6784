"""Mutate the files of a bundle by their structure: JSON values, ONNX graphs and tensors, arrays, and any byte."""

from __future__ import annotations

import copy
import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 0.5, 1.0000001, 2.5, 1e-300, 1e300, -1e300, 3.5e38, 2**31, 2**63, 10**30),
    *("", "x", "amount", "SHAPLEY", "OCCLUSION", "../current", "\x00", "\ud7ff", "9" * 400),
    *([], [0.5], [[0.5]], [None], {}, {"a": 1}, {"median": [1.0]}),
]
"""Values that take the place of others: of another kind, at a limit, or nearly right."""
_TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING, TensorProto.FLOAT16)
_OPERATORS = (
    *("Sigmoid", "Identity", "Neg", "Exp", "Softmax", "ReduceSum", "Transpose", "Flatten", "Squeeze"),
    *("Size", "Shape", "IsNaN", "Cast", "Relu", "Log", "RandomUniformLike", "Unsqueeze", "TopK"),
    *("NonZero", "ArgMax", "CumSum", "Loop"),
)
_DIMENSIONS = (0, 1, 2, 3, 64, 2**31, -1)


def mutated(name: str, data: bytes, chance: random.Random) -> bytes:
    """Return a file with one to three changes."""
    kinds: dict[str, Callable[[bytes, random.Random], bytes]] = {"json": _json, "npz": _npz, "onnx": _onnx}
    own = kinds.get(name.rpartition(".")[2], flipped)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        try:
            data = (own if chance.random() < 0.85 else flipped)(data, chance)
        except Exception:  # noqa: BLE001 (an earlier change has left nothing that has a structure)
            data = flipped(data, chance)
    return data


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with a part replaced, cut, doubled, or one bit flipped."""
    if not data:
        return chance.randbytes(chance.randrange(20))
    at, length = chance.randrange(len(data)), chance.choice([1, 1, 4, 64, 4_096])
    kind = chance.randrange(4)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + chance.randbytes(min(length, len(data) - at)) + data[at + length :]
    if kind == 2:
        return data[:at] + data[at : at + length] + data[at:]
    return data[:at] + (data[at + length :] if chance.random() < 0.5 else b"")


def changed(tree: Any, chance: random.Random) -> Any:
    """Return JSON in which one value was replaced, removed, doubled, moved or wrapped."""
    tree = copy.deepcopy(tree)
    if not isinstance(tree, dict | list) or not tree:
        return chance.choice(ODD)
    at = tree
    while True:
        key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if isinstance(at[key], dict | list) and at[key] and chance.random() < 0.85:
            at = at[key]
            continue
        _change(at, key, chance)
        return tree


def _change(at: Any, key: Any, chance: random.Random) -> None:
    kind = chance.randrange(7)
    if kind == 0:
        del at[key]
    elif kind == 1:
        at[key] = [at[key]]
    elif kind == 2 and isinstance(at, list):
        at.insert(key, at[key])
    elif kind == 3:
        other = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        at[key], at[other] = at[other], at[key]
    elif kind == 4 and isinstance(at[key], int | float):
        at[key] = at[key] * chance.choice([-1, 0.5, 1 + 1e-9, 1 + 1e-3, 2, 1e6]) + chance.choice([0, 1e-9, 0.01])
    elif kind == 5 and isinstance(at, dict):
        at[chance.choice(["", "x", "hold", "median", "payer"])] = at[key]
    else:
        at[key] = chance.choice(ODD)


def _json(data: bytes, chance: random.Random) -> bytes:
    tree = changed(json.loads(data), chance)
    return json.dumps(tree, allow_nan=True).encode("utf-8", "surrogatepass")


def _npz(data: bytes, chance: random.Random) -> bytes:
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    name = chance.choice(list(arrays))
    kind = chance.randrange(4)
    if kind == 0:
        arrays[chance.choice(["", "scores", "features", "x"])] = arrays.pop(name)
    else:
        arrays[name] = (_reshaped, _retyped, _revalued)[kind - 1](arrays[name], chance)
    buffer = io.BytesIO()
    (np.savez if chance.random() < 0.8 else np.savez_compressed)(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue() if chance.random() < 0.9 else _rezipped(buffer.getvalue(), chance)


def _rezipped(data: bytes, chance: random.Random) -> bytes:
    """Return an archive with a damaged member whose checksum is right."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, flipped(old.read(name), chance))
    return buffer.getvalue()


def _reshaped(array: Any, chance: random.Random) -> Any:
    choices = [array[:0], array[:1], array[1:], array[..., :0], array[::-1], array.T]
    choices += [array.reshape(-1), array[..., None], array[None], np.concatenate([array, array])]
    return chance.choice([*choices, np.asfortranarray(array)])


def _retyped(array: Any, chance: random.Random) -> Any:
    kind = chance.choice(["f2", "f4", "f8", ">f4", "i8", "u1", "c8", "U8", "O", "S4", "?"])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a cast loses
        return np.nan_to_num(array).astype(kind)


def _revalued(array: Any, chance: random.Random) -> Any:
    array = array.copy()
    value = chance.choice([np.nan, np.inf, -np.inf, 0.0, 1.0, 2.0, -1.0, 1e30, 1e-5, 0.5])
    with np.errstate(all="ignore"):
        if chance.random() < 0.5:
            array.flat[chance.randrange(array.size)] = value
        else:
            array += np.asarray(value, array.dtype)
    return array


def _onnx(data: bytes, chance: random.Random) -> bytes:
    model = onnx.load_from_string(data)
    chance.choice([_node, _node, _tensor, _tensor, _interface, _frame])(model, chance)
    changed_bytes: bytes = model.SerializeToString()
    return changed_bytes


def _node(model: onnx.ModelProto, chance: random.Random) -> None:
    """Remove, double, move or insert a node, or change its operator, an input or an attribute."""
    nodes = model.graph.node
    node, kind = chance.choice(list(nodes)), chance.randrange(6)
    if kind == 0:
        nodes.remove(node)
    elif kind == 1:
        nodes.append(node)
    elif kind == 2:
        node.op_type = chance.choice(_OPERATORS)
    elif kind == 3 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice(["", "features", "score", *node.output])
    elif kind == 4 and node.attribute:
        _attribute(chance.choice(list(node.attribute)), chance)
    else:
        made = helper.make_node(chance.choice(_OPERATORS), [node.output[0]], [f"{node.output[0]}_more"])
        node.output[0], made.output[0], made.input[0] = made.output[0], node.output[0], made.output[0]
        nodes.insert(list(nodes).index(node) + 1, made)


def _attribute(attribute: Any, chance: random.Random) -> None:
    for numbers in (attribute.ints, attribute.floats):
        if numbers:
            at = chance.randrange(len(numbers))
            numbers[at] = chance.choice([0, 1, -1, 5, 10**6])
            return
    if attribute.strings:
        attribute.strings[chance.randrange(len(attribute.strings))] = chance.choice([b"", b"LEAF", b"x"])
    else:
        attribute.i, attribute.f = chance.choice([0, 1, -1, 10**6]), chance.choice([0.0, 1e30])


def _tensor(model: onnx.ModelProto, chance: random.Random) -> None:
    """Change a constant: its type, its shape, its values, or the place where these are."""
    tensors = list(model.graph.initializer)
    if not tensors:
        _node(model, chance)
        return
    tensor, kind = chance.choice(tensors), chance.randrange(5)
    if kind == 0:
        tensor.data_type = chance.choice(_TYPES)
    elif kind == 1:
        tensor.dims.append(chance.choice(_DIMENSIONS))
    elif kind == 2 and tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice(_DIMENSIONS)
    elif kind == 3:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=chance.choice(["/etc/passwd", "../x", "model.onnx"]))
    else:
        tensor.raw_data = flipped(tensor.raw_data, chance)


def _interface(model: onnx.ModelProto, chance: random.Random) -> None:
    """Change names, types and shapes of inputs and outputs."""
    value = chance.choice([*model.graph.input, *model.graph.output])
    shape, kind = value.type.tensor_type.shape, chance.randrange(5)
    if kind == 0:
        value.name = chance.choice(["features", "score", "contributions", ""])
    elif kind == 1:
        value.type.tensor_type.elem_type = chance.choice(_TYPES)
    elif kind == 2 and shape.dim:
        chance.choice(list(shape.dim)).dim_value = chance.choice(_DIMENSIONS)
    elif kind == 3:
        shape.dim.add(dim_value=chance.choice(_DIMENSIONS))
    else:
        model.graph.input.append(chance.choice([*model.graph.input, *model.graph.output]))


def _frame(model: onnx.ModelProto, chance: random.Random) -> None:
    model.ir_version = chance.choice([1, 7, 8, 10, 99])
    if model.opset_import:
        chance.choice(list(model.opset_import)).version = chance.choice([1, 7, 13, 18, 99])
