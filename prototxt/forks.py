"""Fields that only forks of Caffe have: which of them a message sets, and which say how a fork computes and
not what."""

from collections.abc import Collection, Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

FIRST = 10_000  # the least number of a field that Caffe 1.0 does not have (caffe.proto)
_OURS = ("LayerParameter.dialect", "V1LayerParameter.dialect", "NetParameter.dialect")

# Each as "Message.field", and beside them every field that is called "engine". They choose how something is
# computed, not what: a kernel, its memory, what is printed or drawn, and in which numbers. What a fork
# computes in half floats or integers is as near to our float32 as those allow, and no nearer.
HARMLESS = frozenset(
    f"{message}.{field}"
    for message, fields in {
        "NetParameter": "default_forward_type default_backward_type default_forward_math "
        "default_backward_math global_grad_scale global_grad_scale_adaptive reduce_buckets "
        "default_conv_algos_override default_cudnn_math_override eltwise_mem_sharing "
        "compile_net_state multinode version",
        "LayerParameter": "forward_type backward_type forward_math backward_math debug cudnn_math_override "
        "multinode mn_grad_compress_param quantization_param source_class",
        "SolverParameter": "eval_type ap_version show_per_class_result solver_data_type richness "
        "store_blobs_in_old_format per_parameter_reduce",
        "ConvolutionParameter": "mem_group_size cudnn_convolution_algo_seeker conv_algos_override "
        "cudnn_math_override conv_algorithm",
        "DataParameter": "cache threads parser_threads",
        "ImageDataParameter": "cache precache threads show_data",
        "MemoryDataParameter": "source share_in_parallel",
        "TransformationParameter": "use_gpu_transform debug_params random_seed display",
        "DropoutParameter": "random_seed",  # draws are ours, by --seed
        "VideoDataParameter": "show_data",
        "APLParameter": "save_mem",
        "CPMTransformationParameter": "visualize",
    }.items()
    for field in fields.split()
)

PASSED_OVER = (
    "say how a fork computes (kernels, memory, precision), not what: passed over, here all is float32"
)

# What solvers honour (converters/solver/update).
_OF_SOLVERS = frozenset(
    {
        *("min_lr", "rampup_interval", "rampup_lr", "warmup_iter", "warmup_start_lr", "stagelr", "stageiter"),
        *("larc", "larc_policy", "larc_eta", "momentum_policy", "max_momentum", "momentum_power"),
    }
)


def unhonoured_of_solver(solver: Message, apart: Collection[str]) -> list[str]:
    """The paths of a solver's fields of forks that nothing honours, but for those ``apart``."""
    return [path for path in fields_of_forks(solver, apart) if path not in _OF_SOLVERS]


def fields_of_forks(message: Message, apart: Collection[str] = ()) -> Iterator[str]:
    """The paths ("pooling_param.ceil_mode") of the fields of forks that are set to other than their default,
    and of Caffe's that have a value of a fork's, but for harmless ones and what stands in the message's own
    fields ``apart``.
    """
    return (path for path, field in _set(message, apart) if not _is_harmless(field))


def harmless_fields(message: Message) -> list[str]:
    """The names of the harmless fields of forks that are set anywhere in a message, sorted."""
    return sorted({field.name for _, field in _set(message) if _is_harmless(field)})


def drop_fork_fields(message: Message) -> None:
    """Clear what only forks have, fields and values, anywhere in a message that is to be written as bytes: a
    fork may read our numbers as something else, as forks do one another's.
    """
    for field, value in message.ListFields():
        if field.number >= FIRST or _is_value_of_fork(field, value):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                drop_fork_fields(item)


def clear(message: Message, path: str) -> None:
    """Clear what :func:`fields_of_forks` calls ``path``; of a list on the way all that is in it."""
    name, _, rest = path.partition(".")
    declared = message.DESCRIPTOR.fields_by_name[name]
    if rest and not declared.is_repeated:
        clear(getattr(message, name), rest)
    else:
        message.ClearField(name)


def _is_harmless(field: FieldDescriptor) -> bool:
    return field.name == "engine" or _named(field) in HARMLESS


def _named(field: FieldDescriptor) -> str:
    kind = field.containing_type
    assert kind is not None, f"{field.name} is no field of a message"
    return f"{kind.name}.{field.name}"


def _set(
    message: Message, apart: Collection[str] = (), path: str = "", of_fork: bool = False
) -> Iterator[tuple[str, FieldDescriptor]]:
    """The fields that are set and hold no message, each with its path, of a fork or inside of a fork's."""
    for field, value in message.ListFields():
        name = _named(field)
        inside = of_fork or field.number >= FIRST
        if field.name in apart or name in _OURS:
            continue
        if field.message_type is not None and name not in HARMLESS:
            for item in value if field.is_repeated else [value]:
                yield from _set(item, (), f"{path}{field.name}.", inside)
        elif (inside and not _is_default(field, value)) or _is_value_of_fork(field, value):
            yield path + field.name, field


def _is_default(field: FieldDescriptor, value: object) -> bool:
    """Whether a field says what holds without it, too (``larc: false``)."""
    return bool(field.has_default_value) and value == field.default_value


def _is_value_of_fork(field: FieldDescriptor, value: object) -> bool:
    """Whether one of Caffe's enums has a value there that only forks have (PRE_FIXED)."""
    return field.enum_type is not None and isinstance(value, int) and value >= FIRST
