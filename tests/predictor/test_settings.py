"""Settings: precedence, misspellings, and what Kubernetes adds to the environment."""

from pathlib import Path

import pytest

from predictor.errors import StartupError
from predictor.settings import PREFIX, Settings, read_settings


def test_the_command_line_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("SPANSERVE_THREADS", "3")
    monkeypatch.setenv("SPANSERVE_HOST", "127.0.0.1")
    settings = read_settings({"threads": "5", "model_dir": None})
    assert settings.threads == 5
    assert settings.host == "127.0.0.1"
    assert settings.model_dir == Path("/mnt/models")


def test_a_misspelt_variable_is_an_error():
    with pytest.raises(StartupError, match="SPANSERVE_TREADS names no setting"):
        read_settings({}, {"SPANSERVE_TREADS": "2", "PATH": "/bin"})


def test_variables_of_kubernetes_services_are_ignored():
    injected = {
        "SPANSERVE_SERVICE_HOST": "10.0.0.1",
        "SPANSERVE_PORT": "tcp://10.0.0.1:80",
        "SPANSERVE_PORT_80_TCP_ADDR": "10.0.0.1",
        "SPANSERVE_SERVICE_PORT_HTTP": "80",
    }
    assert read_settings({}, injected) == Settings()


@pytest.mark.parametrize("service", ["predictor", "qa-predictor", "loadtest-2"])
def test_variables_of_services_whose_names_begin_as_ours_do(service):
    name = f"{PREFIX}{service.upper().replace('-', '_')}"
    injected = {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": "80",
        f"{name}_SERVICE_PORT_GRPC_PORT": "81",
        f"{name}_PORT": "tcp://10.0.0.1:80",
        f"{name}_PORT_80_TCP": "tcp://10.0.0.1:80",
        f"{name}_PORT_80_TCP_PROTO": "tcp",
        f"{name}_PORT_80_TCP_PORT": "80",
        f"{name}_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings({}, injected) == Settings()


def test_a_misspelt_port_is_no_service():
    with pytest.raises(StartupError, match="SPANSERVE_HTTP_PORT names no setting"):
        read_settings({}, {"SPANSERVE_HTTP_PORT": "8080"})


@pytest.mark.parametrize("given", [{"threads": "-1"}, {"threads": "many"}, {"session": "x"}])
def test_a_bad_value_is_named(given):
    with pytest.raises(StartupError, match=f"setting {next(iter(given))}:"):
        read_settings(given)


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())
    assert Settings.model_config["env_prefix"] == PREFIX
