"""The command line of all verbs: what each takes, and the function that runs it."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.verbs import build_options, finetune_options, options
from optimize.verbs.dependence import VerbParser, needing
from optimize.verbs.values import Help, between, finite, positive

_CONVERTING = "optimize.verbs.converting"
_MEASURING = "optimize.verbs.measuring"
_PUBLISHING = "optimize.verbs.publish"


def parser() -> argparse.ArgumentParser:
    """Each verb's namespace has `run`, the `module:function` that takes it."""
    whole = argparse.ArgumentParser(
        prog="python -m optimize",
        description="Turn a question answering checkpoint into a verified, published artifact.",
        epilog="`build` is the whole journey; each of its steps is a verb of its own, from folder "
        "to folder.",
    )
    verbs = whole.add_subparsers(
        dest="verb", required=True, metavar="verb", parser_class=VerbParser
    )

    def verb(name: str, run: str, text: str, example: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example:\n  python -m optimize {name} {example}",
            formatter_class=Help,
        )
        added.set_defaults(run=run)
        return added

    build_options.add_to(
        verb(
            "build",
            "optimize.verbs.build:build",
            "baseline → pruned → onnx → graph → int8 or fp16, gated and published",
            "--model demo/checkpoint/pruned --baseline demo/checkpoint/baseline "
            "--dataset demo/data/questions.json --output root",
        )
    )
    _compact(
        verb(
            "compact",
            f"{_CONVERTING}:compact",
            "remove a checkpoint's zero heads and neurons; a PyTorch artifact",
            "--model demo/checkpoint/pruned --output out/pruned",
        )
    )
    _prune(
        verb(
            "prune",
            "optimize.verbs.prune:prune",
            "remove the heads and neurons that matter least, without training; a PyTorch artifact",
            "--model demo/checkpoint/baseline --train-data train.json --prune-to 0.7 "
            "--output out/pruned",
        )
    )
    finetune_options.add_to(
        verb(
            "finetune",
            "optimize.verbs.finetune:finetune",
            "train a model, best a pruned one with the original as its teacher; resumable",
            "--model out/pruned --teacher demo/checkpoint/baseline --train-data train.json "
            "--output out/recovered",
        )
    )
    export = verb(
        "export",
        f"{_CONVERTING}:export",
        "export a PyTorch artifact to ONNX",
        "--model-dir out/pruned --output out/onnx",
    )
    options.model_dir_argument(export)
    options.output_argument(export)
    options.opset_argument(export)
    options.threads_argument(export)
    fuse = verb(
        "fuse",
        f"{_CONVERTING}:fuse",
        "fuse the graph of an exported artifact; a layer that does not fuse fails (exit 3)",
        "--model-dir out/onnx --output out/graph",
    )
    options.model_dir_argument(fuse)
    options.output_argument(fuse)
    options.unfused_argument(fuse)
    options.threads_argument(fuse)
    _quantize(
        verb(
            "quantize",
            f"{_CONVERTING}:quantize",
            "make an fp32 ONNX artifact int8, or fp16",
            "--model-dir out/graph --output out/int8 --asymmetric",
        )
    )
    _verify(
        verb(
            "verify",
            f"{_MEASURING}:verify",
            "check an artifact's checksums, run it, and compare it with another (exit 3: too far)",
            "--model-dir out/int8 --against out/graph",
        )
    )
    _evaluate(
        verb(
            "evaluate",
            "optimize.evaluation.evaluate:main",
            "print EM and F1 of artifacts on a SQuAD file as JSON",
            "--model-dir out/graph out/int8 --dataset demo/data/questions.json",
        )
    )
    benchmark = verb(
        "benchmark",
        f"{_MEASURING}:benchmark",
        "measure artifacts' latencies by sequence length, interleaved; a Markdown table",
        "--model-dir out/pruned out/int8 --sequence-lengths 8,64,512",
    )
    options.model_dirs_argument(benchmark)
    options.latency_arguments(benchmark)
    options.threads_argument(benchmark)
    benchmark.add_argument("--json", action="store_true", help="print JSON instead")
    publish = verb(
        "publish",
        f"{_PUBLISHING}:publish",
        "publish an artifact atomically, under a name and a version that never change",
        "--model-dir out/int8 --output root --name qa --version 1",
    )
    options.model_dir_argument(publish)
    options.publish_arguments(publish)
    report = verb(
        "report",
        f"{_PUBLISHING}:report",
        "print the report of a published artifact as Markdown",
        "--root root/qa/1",
    )
    report.add_argument("--root", type=Path, required=True, help="folder of a published version")
    report.add_argument("--json", action="store_true", help="print JSON instead")
    return whole


def _compact(compact: argparse.ArgumentParser) -> None:
    options.checkpoint_arguments(compact)
    options.output_argument(compact)
    removal = compact.add_mutually_exclusive_group()
    removal.add_argument(
        "--allow-lossy", action="store_true",
        help="remove heads with a zero query or key too, though they still average their values",
    )  # fmt: skip
    removal.add_argument(
        "--keep-zeros", action="store_true",
        help="remove nothing: the checkpoint as it came, to compare with",
    )  # fmt: skip
    options.half_argument(compact)
    options.threads_argument(compact)


def _prune(prune: argparse.ArgumentParser) -> None:
    options.checkpoint_arguments(prune)
    options.train_data_argument(prune, required=True)
    options.pruning_arguments(prune, required=True)
    options.half_argument(prune)
    prune.add_argument("--seed", type=between(0, 2**31), default=0, help="of every draw")
    options.output_argument(prune)
    options.threads_argument(prune)


def _quantize(quantize: argparse.ArgumentParser) -> None:
    options.model_dir_argument(quantize)
    options.output_argument(quantize)
    kind = quantize.add_mutually_exclusive_group()
    kind.add_argument(
        "--asymmetric", action="store_true",
        help="int8 weights with a zero point each: slower, closer to fp32",
    )  # fmt: skip
    kind.add_argument(
        "--fp16", action="store_true",
        help="fp16 instead of int8, for GPUs: the artifact's target is cuda",
    )  # fmt: skip
    quantize.add_argument(
        "--dataset", action=needing("fp16"), type=Path,
        help="with --fp16, SQuAD file of questions on which values must stay in its range; "
        "default: built-in ones",
    )  # fmt: skip
    quantize.add_argument(
        "--static", action=needing("train_data"), nargs=0, default=False,
        help="int8 with ranges of the activations that --train-data give",
    )  # fmt: skip
    options.training_arguments(quantize, "static")
    quantize.add_argument(
        "--quantize-embeddings", action="store_true", help="int8 embedding tables too"
    )
    quantize.add_argument(
        "--keep-head", action="store_true", help="fp32 for the product that gives the logits"
    )
    quantize.add_argument("--fast-gelu", action="store_true", help="GELU approximated by tanh")
    options.threads_argument(quantize)


def _verify(verify: argparse.ArgumentParser) -> None:
    options.model_dir_argument(verify)
    verify.add_argument("--against", type=Path, help="folder of the artifact to compare it with")
    verify.add_argument(
        "--dataset", type=Path,
        help="SQuAD file of questions to compare on, and for the F1 gate; default: built-in ones",
    )  # fmt: skip
    gate = verify.add_mutually_exclusive_group()
    gate.add_argument(
        "--parity-tolerance", action=needing("against"), type=finite,
        help="gate on the relative logit error alone; default: the gates of build, fp32: 1e-4",
    )  # fmt: skip
    gate.add_argument(
        "--min-span-agreement", action=needing("against"), type=finite,
        help="gate on the share of equal answers alone; default: as build, fp16 and int8: 0.85",
    )  # fmt: skip
    verify.add_argument(
        "--max-f1-drop", action=needing("against", "dataset"), type=finite, default=1.0,
        help="F1 points it may lose on --dataset",
    )  # fmt: skip
    options.strict_argument(verify, "against", "dataset")
    options.threads_argument(verify)


def _evaluate(evaluate: argparse.ArgumentParser) -> None:
    options.model_dirs_argument(evaluate)
    evaluate.add_argument("--dataset", type=Path, required=True, help="SQuAD file, .json[.gz]")
    evaluate.add_argument(
        "--eval-sample", type=positive,
        help="so many questions, drawn at random, and F1's confidence interval; default: all",
    )  # fmt: skip
    evaluate.add_argument(
        "--concurrency", type=positive, default=32,
        help="questions that wait together and share runs as they would in the server; "
        "1 for a lone client's; default: 32",
    )  # fmt: skip
    options.threads_argument(evaluate)
