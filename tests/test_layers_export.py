"""Every recorded layer through torch.export, and in the other floating-point types."""

import pytest
import torch
from layer_cases import recorded
from recordings import is_traceable, load

CASES = sorted({case for cases in recorded()[0].values() for case in cases})


def outputs(result: torch.Tensor | dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"": result} if isinstance(result, torch.Tensor) else result


@pytest.mark.parametrize("case", [*filter(is_traceable, CASES)])
def test_export(case: str) -> None:
    net, inputs, _ = load(case)
    args = tuple(inputs[name].detach() for name in net.inputs)
    exported = torch.export.export(net.eval(), args).module()
    theirs = outputs(exported(*args))
    for module in net.modules():
        if hasattr(module, "reset"):
            module.reset()
    for name, ours in outputs(net(*args)).items():
        assert torch.allclose(theirs[name], ours, atol=1e-6), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_type_stays_what_it_is(case: str, dtype: torch.dtype) -> None:
    net, inputs, _ = load(case)
    args = {name: x.detach().to(dtype).requires_grad_() for name, x in inputs.items()}
    blobs = net.to(dtype).all_blobs(**args)
    assert {name: x.dtype for name, x in blobs.items() if x.dtype != dtype} == {}
    parts = [x.float().square().sum() for x in blobs.values() if x.requires_grad]
    if parts:
        torch.stack(parts).sum().backward()
