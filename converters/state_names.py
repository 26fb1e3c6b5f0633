"""The names of a net's blobs in ``state_dict``: ``conv1.weight``, with the layer's own name, whatever it is.

The modules are children of ``Network.layers`` under names that PyTorch allows, so hooks put the one kind of
name for the other. Versions before had the modules beside the net's own attributes and changed a layer's name
where it met one; such names are still read.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from torch import nn

from converters.blobs import tensor_of
from converters.graph import Node

if TYPE_CHECKING:
    from converters.network import Network

# What Network, and SolverNet, had for attributes of their own in version 0.1.0.
_NETWORK = {
    "_add", "_allocate", "_bottoms", "_build", "_clear", "_names", "_saved", "_share", "all_blobs", "fill",
    "graph", "inputs", "layer_types", "load_weights", "loss", "module_of", "outputs", "params",
    "save_caffemodel", "save_hdf5", "shapes", "values",
}  # fmt: skip
_SOLVER_NET = _NETWORK | {
    "_device", "feeds", "forget", "go_to", "next_batch", "output_values", "seen", "set_input_arrays",
    "set_inputs", "watches",
}  # fmt: skip
_MODULE = set(dir(nn.Module()))


def child_names(nodes: Iterable[Node], reserved: Collection[str]) -> dict[Node, str]:
    """Each layer's name made fit for a module's attribute: one of its own, and none that is ``reserved``."""
    taken = set(reserved)
    last: dict[str, str] = {}  # a name to what it was lengthened to for the layer before of that name
    children = {}
    for node in nodes:
        plain = node.layer.name.replace(".", "_") or "unnamed"
        name = last.get(plain, plain)
        while name in taken:
            name += "_"
        taken.add(name)
        last[plain] = children[node] = name
    return children


def todays_names(net: "Network", keys: Iterable[str]) -> dict[str, str]:
    """Today's name of each of ``keys``, the names in a state that this version or one before wrote.

    They are taken for old ones where the old names explain more of them than today's do. Names that are
    none of this net stay as they are.
    """
    keys = list(keys)
    best = {blob.name: blob.name for blob in net.blobs}
    if not best.keys() >= set(keys):
        for reserved in (_NETWORK, _SOLVER_NET):
            best = max(best, _old_names(net, reserved), key=lambda names: sum(key in names for key in keys))
    return {key: best.get(key, key) for key in keys}


def _old_names(net: "Network", reserved: set[str]) -> dict[str, str]:
    """Old name → today's name of every blob."""
    layers = [node for node in net.graph.nodes if not node.is_data]
    children = child_names(layers, reserved | _MODULE)
    return {f"{children[blob.node]}.{blob.slot}": blob.name for blob in net.blobs}


def name_state(net: "Network") -> None:
    """Have ``state_dict`` and ``load_state_dict`` of ``net`` speak of layers by their names."""
    net.register_state_dict_post_hook(_to_names)  # type: ignore[no-untyped-call]
    net.register_load_state_dict_pre_hook(_to_paths)  # type: ignore[no-untyped-call]
    net.register_load_state_dict_post_hook(_share_anew)  # type: ignore[no-untyped-call]


def _share_anew(net: "Network", incompatible: Any) -> None:
    net.bind()  # assign=True has set shared blobs apart


def _to_names(net: "Network", state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Put today's names for the modules' own, and each blob in its layer's shape."""
    tensors = [state.pop(prefix + blob.path) for blob in net.blobs]
    for blob, tensor in zip(net.blobs, tensors, strict=True):
        state[prefix + blob.name] = tensor.view(blob.shape) if blob.is_view else tensor


def _to_paths(
    net: "Network",
    state: dict[str, Any],
    prefix: str,
    metadata: Any,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Put the modules' names for a state's, of any version, and tell by today's what does not fit."""
    ours = [key for key in state if key.startswith(prefix)]
    entries = {key[len(prefix) :]: state.pop(key) for key in ours}
    named = {name: entries[key] for key, name in todays_names(net, entries).items()}
    for blob in net.blobs:
        tensor = named.pop(blob.name, None)
        if tensor is None:
            missing.append(prefix + blob.name)
        elif tensor.shape != blob.shape:
            errors.append(
                f"size mismatch for {prefix}{blob.name}: copying a param with shape {tensor.shape} from "
                f"checkpoint, the shape in current model is {blob.shape}."
            )
        else:
            state[prefix + blob.path] = tensor.reshape(blob.owner.shape)
        state.setdefault(prefix + blob.path, tensor_of(blob.owner, net.layers))  # stays as it is
    unexpected.extend(prefix + name for name in named)
