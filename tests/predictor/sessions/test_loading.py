"""Sessions by name: the short ones, and those that manifests used before."""

import pytest

from predictor.errors import StartupError
from predictor.sessions.loading import session_class


@pytest.mark.parametrize(
    ("names", "module"),
    [
        (("ort", "predictor.session:OrtSession"), "predictor.sessions.ort"),
        (("remote", "predictor.remote_session:RemoteSession"), "predictor.sessions.remote"),
        (("torch", "optimize.torch_session:TorchSession"), "optimize.evaluation.torch_session"),
        (("fake", "predictor.sessions.fake:FakeSession"), "predictor.sessions.fake"),
    ],
)
def test_names(names, module):
    found = {session_class(name) for name in names}
    assert [each.__module__ for each in found] == [module]


@pytest.mark.parametrize("name", ["onnx", "nowhere:Session", "predictor.sessions.ort:Nothing"])
def test_there_is_none_of_that_name(name):
    with pytest.raises(StartupError, match=f"session '{name}' cannot be imported"):
        session_class(name)
