"""The options of a session follow from the settings, and from what KServe's controller says."""

from predictor.__main__ import parser
from predictor.sessions.cpu import available_cpus
from predictor.sessions.protocol import Remote, SessionOptions
from predictor.settings import Settings
from predictor.startup import session_options


def remote_of(settings, predictor_host):
    return session_options(settings, predictor_host).remote


def test_the_defaults_are_the_same():
    assert session_options(Settings(), None) == SessionOptions()
    assert SessionOptions().threads == available_cpus()


def test_every_option_is_its_setting():
    settings = Settings(
        provider="CUDAExecutionProvider",
        threads=3,
        io_binding=False,
        cuda_graph=False,
        max_batch_tokens=77,
        remote_url="triton:9001",
        remote_model="other",
        remote_timeout=1.5,
        remote_start_seconds=2.5,
    )
    assert session_options(settings, None) == SessionOptions(
        provider="CUDAExecutionProvider",
        threads=3,
        io_binding=False,
        cuda_graph=False,
        max_batch_tokens=77,
        remote=Remote("triton:9001", "other", timeout=1.5, start_seconds=2.5),
    )


def test_the_flags_that_kserves_controller_gives_a_transformer():
    flags = ["--model_name", "qa", "--predictor_host", "qa-predictor.default"]
    flags += ["--predictor_protocol", "grpc-v2", "--http_port", "8080"]
    host = parser().parse_args(flags).predictor_host
    assert remote_of(Settings(), host).url == "qa-predictor.default:9000"
    assert remote_of(Settings(), "qa-predictor.default:81").url == "qa-predictor.default:81"
    assert remote_of(Settings(remote_url="triton:9001"), host).url == "triton:9001"
    assert remote_of(Settings(), None) == Remote()
