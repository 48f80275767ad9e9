"""The figures of a real artifact on the real data set are the official script's."""

import subprocess
import sys

from optimize.data import squad
from optimize.evaluation import evaluate
from tests.conftest import ROOT
from tests.optimize.data.official import assert_official


def test_real_answers_are_scored_as_the_official_script_does(built, squad2_dev):
    engine = evaluate.load(built("int8") / "qa" / "1", 0)
    examples = squad.sample(squad.read(squad2_dev), 200)
    scores, predictions = evaluate.evaluate(engine, examples)
    assert_official(scores, examples, predictions, engine.spec.null_score_diff_threshold)
    assert len({prediction.best for prediction in predictions.values()}) > 100


def test_an_onnx_artifact_is_evaluated_without_torch(built):
    """Importing it takes longer than hundreds of questions."""
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; "
        "from optimize.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "evaluate", "--eval-sample", "3"]
    command += ["--model-dir", str(built("fp32") / "qa" / "1")]
    command += ["--dataset", str(ROOT / "demo" / "data" / "questions.json")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60)
