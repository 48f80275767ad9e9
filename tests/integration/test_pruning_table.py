"""The table of F1 against density from models that are really exported, evaluated and timed."""

import shutil

from safetensors.torch import load_file, save_file

from benchmarks.pruning import table as pruning_table
from benchmarks.pruning.charts import DENSITY_CHART, LATENCY_CHART
from benchmarks.pruning.table import SECTION
from tests.conftest import ROOT
from tests.integration.building import optimize


def test_a_study_of_one_model_beside_the_embedded_ones(checkpoint, tmp_path):
    masked = tmp_path / "masked"
    shutil.copytree(checkpoint, masked)
    state = load_file(masked / "model.safetensors")
    for layer in range(6):
        state[f"bert.encoder.layer.{layer}.intermediate.dense.weight"][:768] = 0
    save_file(state, masked / "model.safetensors", metadata={"format": "pt"})
    half = tmp_path / "study" / "one-shot" / "0.75"
    made = optimize("compact", "--model", masked, "--output", half)
    assert made.returncode == 0, made.stderr
    page = tmp_path / "page.md"
    page.write_text(f"before\n{SECTION.begin}\n{SECTION.end}\nafter\n")

    status = pruning_table.main(
        ["--dataset", str(ROOT / "demo" / "data" / "questions.json"),
         "--study", str(tmp_path / "study"), "--threshold-articles", "The Night Sky, Sports Desk",
         "--eval-sample", "10", "--rounds", "1", "--page", str(page),
         "--charts", str(tmp_path / "charts")]
    )  # fmt: skip

    assert status == 0
    text = page.read_text()
    assert text.startswith(f"before\n{SECTION.begin}\n")
    assert text.endswith(f"{SECTION.end}\nafter\n")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    _, _, dense, one_shot, shipped = rows
    assert dense[:3] == ["dense", "1.00", "90.3"]
    # Half of the feed-forward network is a third of a layer.
    assert one_shot[:2] == ["one-shot 0.75", "0.67"]
    assert float(one_shot[2]) < float(dense[2])
    assert shipped[0] == "**shipped**"
    assert "(charts/pruning-density.svg)" in text
    assert {path.name for path in (tmp_path / "charts").iterdir()} == {
        DENSITY_CHART, LATENCY_CHART,
    }  # fmt: skip
