"""The order in which one layer's heads, or its neurons, leave, and what each removal costs.

Optimal brain surgery (Hassibi and Stork, 1993) for whole structures, as in ZipLM (Kurtic et al.,
NeurIPS 2023): of all that is left, the structure whose removal costs least leaves next, and the
weights of the others make up for it as well as least squares can. Here the cost is not the
squared error of the layer's outputs but the loss of the model that it causes, by the Kronecker
factors in `moments` (as van der Ouderaa et al., ICLR 2024, weigh it). The best change of the
weights is the same for both, so the loss of leaving out a set S of inputs is

    ½ tr(G W_S (H⁻¹_SS)⁻¹ W_Sᵀ),  H = E[x xᵀ] of a token,  G = E[Σ g gᵀ] over those of a question

A constant input never leaves: the bias takes what can be had of others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from optimize.errors import SourceError
from optimize.pruning.moments import Moments

# Of the mean square of an input, added to its square: keeps the inverse sound. Where that is not
# enough, as for inputs that are the same but for rounding, it is ten times as much, and so on.
DAMPING = 1e-5
# Removals after which what was put off is brought to the whole matrices.
_BLOCK = 64


@dataclass(frozen=True)
class Elimination:
    """One layer's structures in the order in which they leave.

    Attributes:
        order: Structures, the first to leave first; the last one stays.
        losses: Loss per question, in nats, when the first k have left, k from 0, (structures,).
    """

    order: tuple[int, ...]
    losses: tuple[float, ...]


def eliminate(
    weight: torch.Tensor, bias: torch.Tensor | None, moments: Moments, size: int = 1
) -> Elimination:
    """Removes structures of one projection until one is left.

    Args:
        weight: Of the projection, (out, in).
        bias: Of the projection, (out,).
        moments: Of the projection.
        size: Neighbouring inputs that leave together: 1 for neurons, head_size for heads.
    """
    inverse = _inverse(moments.inputs)
    root = _root(moments.gradients)
    whole = torch.cat(
        [weight, weight.new_zeros(len(weight), 1) if bias is None else bias[:, None]], 1
    )
    reach = root @ whole.double()
    remove = _one_by_one if size == 1 else _in_groups
    return remove(inverse, reach, size)


def _one_by_one(inverse: torch.Tensor, reach: torch.Tensor, _: int) -> Elimination:
    """Single inputs. `inverse` is H⁻¹, (in + 1, in + 1), `reach` is G^½ W, (out, in + 1)."""
    count = len(inverse) - 1
    diagonal = inverse.diagonal()[:count].clone()
    squares = reach[:, :count].square().sum(0)
    left = torch.ones(count, dtype=torch.bool, device=inverse.device)
    order, losses = [], [0.0]
    columns = inverse.new_zeros(count + 1, _BLOCK)
    changes = inverse.new_zeros(len(reach), _BLOCK)
    waiting = 0
    for _step in range(count - 1):
        costs = torch.where(left, squares / diagonal, torch.inf)
        gone = int(costs.argmin())
        order.append(gone)
        losses.append(losses[-1] + 0.5 * max(float(costs[gone]), 0.0))
        left[gone] = False
        past = columns[:, :waiting]
        # The current column of H⁻¹ over the root of its diagonal, and G^½ of the current weights.
        column = inverse[:, gone] - past @ past[gone]
        column = column / diagonal[gone].sqrt()
        change = reach[:, gone] - changes[:, :waiting] @ past[gone]
        change = change / diagonal[gone].sqrt()
        products = change @ reach - (change @ changes[:, :waiting]) @ past.T
        squares += (
            change.square().sum() * column[:count].square() - 2 * products[:count] * column[:count]
        )
        diagonal -= column[:count].square()
        squares.clamp_(min=0)
        diagonal.clamp_(min=torch.finfo(diagonal.dtype).tiny)
        columns[:, waiting], changes[:, waiting] = column, change
        waiting += 1
        if waiting == _BLOCK:
            inverse = inverse - columns @ columns.T
            reach = reach - changes @ columns.T
            diagonal = (
                inverse.diagonal()[:count].clone().clamp_(min=torch.finfo(diagonal.dtype).tiny)
            )
            squares = reach[:, :count].square().sum(0)
            waiting = 0
    order.append(int(left.nonzero().item()))
    return Elimination(tuple(order), tuple(losses))


def _in_groups(inverse: torch.Tensor, reach: torch.Tensor, size: int) -> Elimination:
    """Groups of neighbouring inputs."""
    count = (len(inverse) - 1) // size
    left = list(range(count))
    order, losses = [], [0.0]
    while len(left) > 1:
        costs = {group: _group_cost(inverse, reach, _rows(group, size)) for group in left}
        gone = min(left, key=costs.__getitem__)
        order.append(gone)
        losses.append(losses[-1] + 0.5 * costs[gone])
        left.remove(gone)
        rows = _rows(gone, size)
        factor = torch.linalg.solve(inverse[rows, rows], inverse[rows])  # (size, in + 1)
        reach = reach - reach[:, rows] @ factor
        inverse = inverse - inverse[:, rows] @ factor
        # Exactly nothing goes through what is gone, whatever rounding left there.
        inverse[rows] = 0
        inverse[:, rows] = 0
        reach[:, rows] = 0
    order.append(left[0])
    return Elimination(tuple(order), tuple(losses))


def _group_cost(inverse: torch.Tensor, reach: torch.Tensor, rows: slice) -> float:
    part = reach[:, rows]
    return max(float((part * torch.linalg.solve(inverse[rows, rows], part.T).T).sum()), 0.0)


def _rows(group: int, size: int) -> slice:
    return slice(group * size, (group + 1) * size)


def _inverse(matrix: torch.Tensor) -> torch.Tensor:
    """H⁻¹, damped but for the constant input, which is the last one."""
    # With the constant's own 1, so that it is none of inputs that are all zero.
    scale = float(matrix.diagonal().mean())
    if not matrix.isfinite().all():
        raise SourceError("the model computes what is no number; it cannot be pruned")
    damping = DAMPING
    while True:
        damped = matrix.clone()
        damped.diagonal()[:-1] += damping * scale
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            return torch.cholesky_inverse(factor)
        damping *= 10


def _root(matrix: torch.Tensor) -> torch.Tensor:
    """A square root of a positive semi-definite matrix: rootᵀ root = matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: torch.Tensor = values.clamp(min=0).sqrt()[:, None] * vectors.T
    return root
