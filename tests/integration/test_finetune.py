"""Training: it learns, ends with the same weights after a kill, and fails with a line."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from optimize.__main__ import main
from optimize.evaluation.parity import QUESTIONS
from optimize.training.snapshots import Snapshots
from predictor.artifact import load_spec
from predictor.engine import Engine
from tests.optimize.source import sources

TRAINING = ["--epochs", "60", "--batch-tokens", "256", "--train-length", "64", "--dropout", "0.1"]
LONGER = ["--epochs", "150", "--learning-rate", "1e-2", "--dropout", "0"]
MACHINE = ["--device", "cpu", "--compute", "fp32", "--threads", "1"]


def second_word(context):
    word = context.split()[1]
    return {"text": word, "answer_start": context.index(f" {word}") + 1}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A teacher, a student that lacks some of it, and a file of questions."""
    folder = tmp_path_factory.mktemp("finetune")
    sources.write("bert", folder / "teacher")
    sources.write("bert", folder / "masked", change=sources.mask)
    # Two trained tokenizers differ in what they make of ties.
    shutil.copy(folder / "teacher" / "tokenizer.json", folder / "masked")
    paragraphs = [
        {
            "context": q.context,
            "qas": [
                {
                    "id": f"question {i}",
                    "question": q.question,
                    "answers": [second_word(q.context)],
                }
            ],
        }
        for i, q in enumerate(QUESTIONS)
    ]
    document = {"data": [{"title": "t", "paragraphs": paragraphs}]}
    (folder / "train.json").write_text(json.dumps(document))
    assert main(["compact", "--model", str(folder / "masked"), "--output", str(folder / "p")]) == 0
    return folder


def command(given, output, *more):
    return [
        "finetune", "--model", str(given / "p"), "--teacher", str(given / "teacher"),
        "--train-data", str(given / "train.json"), "--output", str(output),
        *TRAINING, *MACHINE, *more,
    ]  # fmt: skip


def weights(folder):
    return load_file(folder / "model.safetensors")


def distance(one, other):
    features = one.prepare(QUESTIONS)
    pairs = zip(one.run(features), other.run(features), strict=True)
    return sum(float(((a.start - b.start) ** 2 + (a.end - b.end) ** 2).mean()) for a, b in pairs)


def divergence(one, other):
    """How far one's probabilities of starts and ends are from another's."""
    features = one.prepare(QUESTIONS)
    found = 0.0
    for ours, theirs in zip(one.run(features), other.run(features), strict=True):
        for our, their in zip(ours, theirs, strict=True):
            wanted = torch.from_numpy(their).log_softmax(0)
            found += float((wanted.exp() * (wanted - torch.from_numpy(our).log_softmax(0))).sum())
    return found


def test_a_student_comes_nearer_to_its_teacher(given, tmp_path, caplog):
    with caplog.at_level("INFO", "optimize"):
        # The answers would pull it away from a teacher that does not know them.
        more = ("--unanswerable-share", "0", "--distill-weight", "1")
        assert main(command(given, tmp_path / "out", *LONGER, *more)) == 0
    before, after = load_spec(given / "p"), load_spec(tmp_path / "out")
    assert (after.layers, after.density) == (before.layers, before.density)
    assert (
        main(["compact", "--model", str(given / "teacher"), "--output", str(tmp_path / "t")]) == 0
    )
    session = "torch"
    teacher, student, trained = (
        Engine.load(folder, session=session)
        for folder in (tmp_path / "t", given / "p", tmp_path / "out")
    )
    assert divergence(trained, teacher) < 0.2 * divergence(student, teacher)
    frozen = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(weights(given / "p")[frozen], weights(tmp_path / "out")[frozen])
    assert "done at about" in caplog.text
    assert not (tmp_path / "out.snapshots").exists()


def f1(folder, dataset, capsys):
    capsys.readouterr()
    assert main(["evaluate", "--model-dir", str(folder), "--dataset", str(dataset)]) == 0
    return json.loads(capsys.readouterr().out)[str(folder)]["f1"]


def test_without_a_teacher_it_learns_the_answers(given, tmp_path, caplog, capsys):
    more = ("--unanswerable-share", "0", "--train-embeddings")
    arguments = command(given, tmp_path / "out", *LONGER, *more)
    place = arguments.index("--teacher")
    with caplog.at_level("INFO", "optimize"):
        assert main([*arguments[:place], *arguments[place + 2 :]]) == 0
    assert "answers" in caplog.text
    assert "distillation" not in caplog.text
    before, after = (f1(f, given / "train.json", capsys) for f in (given / "p", tmp_path / "out"))
    assert before < 50
    assert after > 95


@pytest.mark.parametrize("more", [[], ["--movement", "--block-size", "8"]], ids=["plain", "masks"])
def test_killed_at_any_point_it_ends_with_the_same_weights(given, tmp_path, more):
    more = [*more, "--snapshot-minutes", "0.002"]
    assert main(command(given, tmp_path / "whole", *more)) == 0
    arguments = command(given, tmp_path / "out", *more)
    snapshots = tmp_path / "out.snapshots"
    draw = random.Random()
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "optimize", *arguments], stderr=subprocess.PIPE, text=True
        )
        before = {path.name for path in snapshots.glob("*.pt")}
        while process.poll() is None and before >= {p.name for p in snapshots.glob("*.pt")}:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists() or process.returncode == 0
    assert kills
    if not (tmp_path / "out").exists():
        assert main(arguments) == 0
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "out")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_asked_to_stop_it_leaves_a_snapshot_and_goes_on_there(given, tmp_path, caplog):
    arguments = command(given, tmp_path / "out", "--epochs", "4000")
    process = subprocess.Popen(
        [sys.executable, "-m", "optimize", *arguments], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "steps, fp32 on cpu" in line:
            break
    time.sleep(1)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command goes on there" in said
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / "out.snapshots").iterdir())) == 1
    # Other options are another training.
    assert main(command(given, tmp_path / "out", "--epochs", "1")) == 1


def test_movement_prunes(given, tmp_path):
    options = ["--movement", "--block-size", "8", "--regularization", "50", "--mask-rate", "0.1"]
    arguments = command(given, tmp_path / "out", *options)
    arguments[arguments.index("--model") + 1] = str(given / "teacher")
    assert main(arguments) == 0
    assert load_spec(tmp_path / "out").density < 0.8


def test_half_precision_is_half_the_file_and_read_everywhere(given, tmp_path):
    half, whole = tmp_path / "half", tmp_path / "whole"
    for folder, more in ((half, ["--half"]), (whole, [])):
        assert main(command(given, folder, "--epochs", "1", *more)) == 0
    sizes = [(f / "model.safetensors").stat().st_size for f in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    session = "torch"
    one, other = (Engine.load(folder, session=session) for folder in (half, whole))
    assert 0 < distance(one, other) < 1e-4
    assert main(["export", "--model-dir", str(half), "--output", str(tmp_path / "onnx")]) == 0
    assert distance(Engine.load(tmp_path / "onnx"), one) < 1e-9
    assert main(["compact", "--model", str(half), "--output", str(tmp_path / "again")]) == 0


def test_zeros_of_a_masked_checkpoint_do_not_come_back(given, tmp_path):
    arguments = command(given, tmp_path / "out", "--epochs", "1")
    arguments[arguments.index("--model") + 1] = str(given / "masked")
    assert main(arguments) == 0
    assert load_spec(tmp_path / "out").layers == load_spec(given / "p").layers


def test_a_teacher_of_another_size_and_family(given, tmp_path, caplog):
    """The student takes no token types; logits are all that the two have in common."""
    sources.write("distilbert", tmp_path / "student", n_layers=2)
    shutil.copy(given / "teacher" / "tokenizer.json", tmp_path / "student")
    arguments = command(given, tmp_path / "out", "--epochs", "2")
    arguments[arguments.index("--model") + 1] = str(tmp_path / "student")
    with caplog.at_level("INFO", "optimize"):
        assert main(arguments) == 0
    assert "its hidden states are not learnt" in caplog.text
    assert "distillation" in caplog.text
    assert "hidden 0" not in caplog.text


def test_two_at_once_are_refused(given, tmp_path, capsys):
    snapshots = Snapshots(tmp_path / "out.snapshots", "")
    with snapshots.claimed():
        assert main(command(given, tmp_path / "out", "--epochs", "1")) == 2
    assert "another process is training on" in capsys.readouterr().err
    assert main(command(given, tmp_path / "out", "--epochs", "1")) == 0


def test_a_weight_that_half_precision_does_not_hold_is_named(given, tmp_path, capsys):
    def enlarge(model):
        with torch.no_grad():
            model.bert.embeddings.word_embeddings.weight[-1] = 1e5

    sources.write("bert", tmp_path / "large", change=enlarge)
    shutil.copy(given / "teacher" / "tokenizer.json", tmp_path / "large")
    arguments = command(given, tmp_path / "out", "--epochs", "0.1", "--half")
    arguments[arguments.index("--model") + 1] = str(tmp_path / "large")
    assert main(arguments) == 1
    said = "bert.embeddings.word_embeddings.weight is too large for half precision"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--teacher", "{other}"], "the teacher has another tokenizer than the model"),
        (["--learning-rate", "1e30"], "the loss is nan at step"),
        (["--train-data", "{plain}"], "its answers have no answer_start"),
    ],
)
def test_what_cannot_be_trained_is_one_line(given, tmp_path, change, message, capsys):
    sources.write("roberta", tmp_path / "other")
    plain = json.loads((given / "train.json").read_text())
    for paragraph in plain["data"][0]["paragraphs"]:
        del paragraph["qas"][0]["answers"][0]["answer_start"]
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    places = {"other": tmp_path / "other", "plain": tmp_path / "plain.json"}
    more = [text.format(**places) for text in change]
    assert main(command(given, tmp_path / "out", *more)) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
