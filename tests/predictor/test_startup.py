"""What the settings, and KServe's controller, say about what is loaded."""

from predictor.__main__ import parser
from predictor.sessions.protocol import Remote
from predictor.settings import Settings
from predictor.startup import remote_of


def test_the_flags_that_kserves_controller_gives_a_transformer():
    flags = ["--model_name", "qa", "--predictor_host", "qa-predictor.default"]
    flags += ["--predictor_protocol", "grpc-v2", "--http_port", "8080"]
    host = parser().parse_args(flags).predictor_host
    assert remote_of(Settings(), host).url == "qa-predictor.default:9000"
    assert remote_of(Settings(), "qa-predictor.default:81").url == "qa-predictor.default:81"
    assert remote_of(Settings(remote_url="triton:9001"), host).url == "triton:9001"
    assert remote_of(Settings(), None) == Remote()
