"""Losses, next to what torch and arithmetic say of rows without padding."""

import pytest
import torch
from torch.nn import functional

from optimize.training.batches import TrainingBatch
from optimize.training.losses import Outputs, Weights, divergence, hidden_distance, losses

REAL = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def outputs(seed):
    return Outputs(
        normal(2, 4, seed=seed), normal(2, 4, seed=seed + 1), (normal(2, 4, 3, seed=seed),)
    )


BATCH = TrainingBatch({"attention_mask": REAL}, torch.tensor([2, 0]), torch.tensor([3, 1]))


def test_each_part_is_the_mean_over_rows_of_real_tokens():
    student, teacher = outputs(0), outputs(5)
    found = losses(student, teacher, BATCH, Weights(temperature=2.0))
    answers = [
        functional.cross_entropy(logits[row, :length], target[row])
        for logits, target in ((student.start, BATCH.start), (student.end, BATCH.end))
        for row, length in ((0, 4), (1, 2))
    ]
    assert float(found.answers) == pytest.approx(float(torch.stack(answers).mean()), rel=1e-5)
    divergences = [
        4
        * functional.kl_div(
            (ours[row, :length] / 2).log_softmax(0),
            (theirs[row, :length] / 2).log_softmax(0),
            log_target=True,
            reduction="sum",
        )
        for ours, theirs in ((student.start, teacher.start), (student.end, teacher.end))
        for row, length in ((0, 4), (1, 2))
    ]
    assert float(found.distillation) == pytest.approx(
        float(torch.stack(divergences).mean()), rel=1e-5
    )
    ours, theirs = (out.hidden[0][REAL.bool()] for out in (student, teacher))
    distance = float((ours - theirs).square().sum() / theirs.square().sum())
    assert float(found.hidden) == pytest.approx(distance, rel=1e-5)


def test_the_total_weighs_them():
    found = losses(outputs(0), outputs(5), BATCH, Weights(0.75, 0.5))
    total = 0.25 * found.answers + 0.75 * found.distillation + 0.5 * found.hidden
    assert float(found.total(Weights(0.75, 0.5))) == pytest.approx(float(total))
    alone = losses(outputs(0), None, BATCH, Weights(0.75, 0.0))
    assert (alone.distillation, alone.hidden) == (None, None)
    assert float(alone.total(Weights(0.75, 0.5))) == pytest.approx(float(found.answers))
    flat = losses(outputs(0), outputs(5), BATCH, Weights(0.75, 0.0))
    assert flat.hidden is None


def test_a_student_like_its_teacher_loses_nothing_and_gradients_are_numbers():
    teacher = outputs(3)
    logits = teacher.start.clone().requires_grad_()
    masked = logits.masked_fill(~REAL.bool(), -torch.inf)
    wanted = teacher.start.masked_fill(~REAL.bool(), -torch.inf)
    same = divergence(masked, wanted, 2.0)
    same.backward()
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad.isfinite().all()
    assert hidden_distance(teacher.hidden, teacher.hidden, REAL.bool()) == 0


def test_padding_takes_no_part():
    student, teacher = outputs(0), outputs(5)
    wild = Outputs(
        *(logits.masked_fill(~REAL.bool(), 1e4) for logits in (student.start, student.end)),
        tuple(h.masked_fill(~REAL.bool()[..., None], 1e4) for h in student.hidden),
    )
    one, other = (losses(s, teacher, BATCH, Weights()).total(Weights()) for s in (student, wild))
    assert float(one) == pytest.approx(float(other))
