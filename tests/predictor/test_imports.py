"""The predictor runs where torch and transformers are not installed."""

import subprocess
import sys

BLOCKED = ("torch", "transformers", "optimum", "optimize")


def test_predictor_imports_without_torch():
    code = (
        "import sys\n"
        f"for name in {BLOCKED!r}: sys.modules[name] = None\n"
        "import predictor.__main__\n"
        f"assert not any(sys.modules.get(name) for name in {BLOCKED!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
