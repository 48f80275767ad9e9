"""What goes into, and what depends on, the two projections that heads and neurons end in.

The loss that a change ΔW of a linear layer's weights causes is, to second order, half of ΔW's
square under the Fisher information. That is approximated by a Kronecker product of two moments
(K-FAC; Martens and Grosse, ICML 2015): of the inputs x, and of the gradients g at the outputs, of
the log-likelihood of answers drawn from the model's own distribution. Drawn answers make it the
curvature of the divergence from the model as it is, which labels do not (Kunstner et al., 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from optimize.errors import SourceError
from optimize.pruning.sequences import Inputs
from optimize.source.family import Family


@dataclass(frozen=True)
class Moments:
    """Second moments of one linear layer, float64.

    Attributes:
        inputs: Mean of x xᵀ over real tokens, a constant 1 appended for the bias, (in + 1, in + 1).
        gradients: Sum of g gᵀ over the tokens of a question, mean over questions, (out, out).
    """

    inputs: torch.Tensor
    gradients: torch.Tensor


def collect(
    module: nn.Module,
    names: Sequence[str],
    batches: Iterable[Inputs],
    *,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Moments]:
    """Moments of linear layers.

    Args:
        module: The question answering model in evaluation mode; its weights do not change.
        names: The layers, as submodules.
        batches: What to run it on.
        seed: Of the drawn answers.
        advance: Called after each batch.
    """
    device = next(module.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    sums = {name: _Sums.of(linear_of(module, name)) for name in names}
    questions = tokens = 0
    for batch in batches:
        fed = {name: ids.to(device) for name, ids in batch.items()}
        real = fed["attention_mask"].bool()
        with ExitStack() as stack:
            for name, summed in sums.items():
                hook = module.get_submodule(name).register_forward_hook(summed.hook(real))
                stack.callback(hook.remove)
            output = module(**fed)
            likelihood = drawn_likelihood(output, real, generator)
            likelihood.backward()  # type: ignore[no-untyped-call]
        module.zero_grad(set_to_none=True)
        questions += len(real)
        tokens += int(real.sum())
        advance()
    # In place: of BERT-large these are gigabytes.
    return {
        name: Moments(summed.inputs.div_(tokens), summed.gradients.div_(questions))
        for name, summed in sums.items()
    }


def drawn_likelihood(output: Any, real: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Log-likelihood, summed over rows, of a start and an end drawn from the logits."""
    total = torch.zeros((), device=real.device)
    for logits in (output.start_logits, output.end_logits):
        logs = logits.float().masked_fill(~real, -torch.inf).log_softmax(-1)
        if logs.isnan().any():
            raise SourceError("the model's logits are no numbers; it cannot be pruned")
        drawn = torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator)
        total = total + logs.gather(1, drawn.to(logs.device)).sum()
    return total


def linear_of(module: nn.Module, name: str) -> nn.Linear:
    """A linear layer by its name."""
    return cast(nn.Linear, module.get_submodule(name))


def projections(family: Family, layer: int) -> tuple[str, str]:
    """Names of the projection after a layer's heads, and of the one after its neurons."""
    prefix = family.layer(layer)
    return prefix + family.attention_output, prefix + family.outer


@dataclass
class _Sums:
    inputs: torch.Tensor
    gradients: torch.Tensor

    @classmethod
    def of(cls, linear: nn.Linear) -> _Sums:
        out, width = linear.weight.shape
        device = linear.weight.device
        return cls(
            torch.zeros(width + 1, width + 1, dtype=torch.float64, device=device),
            torch.zeros(out, out, dtype=torch.float64, device=device),
        )

    def hook(self, real: torch.Tensor) -> Callable[..., None]:
        """Adds what real tokens bring in, and the gradient that comes back."""

        def forward(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            self.inputs += second_moment(with_one(inputs[0].detach()[real]))
            output.register_hook(backward)  # type: ignore[no-untyped-call]

        def backward(gradient: torch.Tensor) -> None:
            self.gradients += second_moment(gradient[real])

        return forward


def with_one(rows: torch.Tensor) -> torch.Tensor:
    """Rows with a constant 1 appended, what the bias is multiplied with."""
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


def second_moment(rows: torch.Tensor) -> torch.Tensor:
    """Sum of the outer products of rows with themselves; summed in their own precision."""
    return (rows.T @ rows).double()
