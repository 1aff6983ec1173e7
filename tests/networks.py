"""Small networks as ONNX files, for tests that need a network and not what it knows."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

USUAL = (224, 224)


def write_network(
    path: Path, *, shape: tuple[int, int] = USUAL, kind: int = TensorProto.FLOAT, flat: bool = True
) -> Path:
    """Mean, maximum and minimum of each of the three planes: (B, 9), or (B, 9, 1, 1) when not `flat`."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    reductions = ("ReduceMean", "ReduceMax", "ReduceMin")
    keepdims = 0 if flat else 1
    nodes = [helper.make_node(name, ["planes", "axes"], [name], keepdims=keepdims) for name in reductions]
    nodes.append(helper.make_node("Concat", list(reductions), ["vectors"], axis=1))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("planes", kind, ["batch", 3, *shape])],
        [helper.make_tensor_value_info("vectors", kind, ["batch", 9] if flat else ["batch", 9, 1, 1])],
        [axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
