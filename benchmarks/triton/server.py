"""A real Triton server on a CPU, for a repository that `optimize build --triton` wrote.

The server is the one inside NVIDIA's pytriton wheel, in a virtual environment of its own that
`make triton-server` makes. It has no ONNX Runtime backend, only the Python one: so the repository's
configurations are kept but for the backend's name, and triton_model.py runs the graph with ONNX
Runtime. What is measured through it is Triton's protocol and scheduling, not its own ONNX backend.

`python -m benchmarks.triton.server` says whether it can be started here; given a repository, it
becomes that server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.artifact import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.processes import ServerProcess
from loadtest.local import servers as local
from loadtest.local.servers import HOST, Server, ServerError, free_ports
from optimize.publishing.triton import CONFIG_FILE
from predictor.sessions.cpu import available_cpus

ENVIRONMENT = ROOT / ".venv-triton"
_MODEL = Path(__file__).with_name("model.py")
_ONNX_BACKEND = 'backend: "onnxruntime"'
_CANNOT_LINK = 127  # the exit status of the dynamic linker
_WHERE = (
    "import sys, sysconfig; print('%d.%d' % sys.version_info[:2]); "
    "print(sysconfig.get_path('purelib')); print(sysconfig.get_config_var('LIBDIR'))"
)


class Installation:
    """The server's files in its virtual environment."""

    def __init__(self, environment: Path = ENVIRONMENT) -> None:
        """Finds them.

        Raises:
            BenchmarkError: It is not installed, or cannot run here.
        """
        python = environment / "bin" / "python"
        if not (environment / ".installed").is_file():
            raise BenchmarkError("there is no Triton server; `make triton-server` installs one")
        done = subprocess.run([python, "-c", _WHERE], capture_output=True, text=True, check=True)
        version, packages, libraries = done.stdout.split()
        self._packages = Path(packages)
        home = self._packages / "pytriton" / "tritonserver"
        self.program = home / "bin" / "tritonserver"
        self.backend = (
            *(home / "backends" / "python").iterdir(),
            home / "python_backend_stubs" / version / "triton_python_backend_stub",
        )
        self._path = f"{environment / 'bin'}{os.pathsep}{os.defpath}"
        self._libraries = f"{self._packages / 'nvidia_pytriton.libs'}:{libraries}"
        stub = subprocess.run(
            [self.backend[-1]], env=self.environ(1), capture_output=True, text=True, check=False
        )
        if stub.returncode == _CANNOT_LINK:
            raise BenchmarkError(f"Triton's Python backend does not start: {stub.stderr.strip()}")

    def environ(self, threads: int) -> dict[str, str]:
        """The server's environment; by PATH its Python finds the packages installed beside it."""
        return {
            "PATH": self._path,
            "LD_LIBRARY_PATH": self._libraries,
            "ONNX_THREADS": str(threads),
        }


def convert(repository: Path, folder: Path) -> None:
    """Makes a repository for the Python backend, with links to the graphs of another.

    Args:
        repository: As `optimize build --triton` wrote it, for a CPU.
        folder: Where to make it; must not exist.

    Raises:
        BenchmarkError: A configuration is not for Triton's ONNX Runtime backend.
    """
    for path in repository.glob(f"*/{CONFIG_FILE}"):
        config = path.read_text(encoding="utf-8")
        if config.count(_ONNX_BACKEND) != 1:
            raise BenchmarkError(f"{path} is not for the ONNX Runtime backend")
        model = folder / path.parent.name
        model.mkdir(parents=True)
        config = config.replace(_ONNX_BACKEND, 'backend: "python"')
        (model / CONFIG_FILE).write_text(config, encoding="utf-8")
        for graph in path.parent.glob("*/model.onnx"):
            version = model / graph.parent.name
            version.mkdir()
            (version / graph.name).symlink_to(graph.resolve())
            shutil.copy(_MODEL, version / "model.py")


def prepared(
    repository: Path, folder: Path, threads: int, http_port: int, grpc_port: int
) -> tuple[list[str], dict[str, str]]:
    """Makes the folder that a server reads; its command and its whole environment.

    Raises:
        BenchmarkError: It is not installed, or the repository is not for it.
    """
    installed = Installation()
    shutil.rmtree(folder, ignore_errors=True)
    convert(repository, folder / "repository")
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    for file in installed.backend:
        (backend / file.name).symlink_to(file)
    flags = {
        "model-repository": folder / "repository",
        "backend-directory": backend.parent,
        "disable-auto-complete-config": "",
        "http-address": HOST,
        "http-port": http_port,
        "grpc-address": HOST,
        "grpc-port": grpc_port,
        "allow-metrics": "false",
        "exit-timeout-secs": 5,
    }
    named = [f"--{name}={value}" if value != "" else f"--{name}" for name, value in flags.items()]
    return [str(installed.program), *named], installed.environ(threads)


@contextlib.contextmanager
def running(
    repository: Path, folder: Path, *, threads: int = 1, ports: tuple[int, int] | None = None
) -> Iterator[ServerProcess]:
    """A server on loopback, with the model `qa` ready, for as long as the block lasts.

    Args:
        repository: As `optimize build --triton` wrote it.
        folder: For the log and what the server reads, which is made anew.
        threads: Of each model instance.
        ports: HTTP and gRPC; free ones by default.

    Raises:
        BenchmarkError: It is not installed or does not start.
    """
    http_port, grpc_port = ports or free_ports(2)
    command = [sys.executable, "-m", "benchmarks.triton.server", "--repository", str(repository)]
    command += ["--folder", str(folder / "server"), "--threads", str(threads)]
    command += ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    with local.running(folder) as servers:
        try:
            (process,) = servers.start(Server("triton", command, http_port))
        except ServerError as error:
            raise BenchmarkError(str(error)) from error
        yield ServerProcess("triton", process, http_port, grpc_port)


def main(argv: list[str] | None = None) -> int:
    """Says whether a server can be started here, or becomes one; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.repository is None:
            sys.stdout.write(f"{Installation().program}\n")
            return 0
        command, environ = prepared(
            arguments.repository,
            arguments.folder,
            arguments.threads or available_cpus(),
            arguments.http_port,
            arguments.grpc_port,
        )
    except (BenchmarkError, OSError) as error:
        sys.stderr.write(f"triton_server: {error}\n")
        return 1
    # In this process' place: whoever ends it ends the server.
    return os.execve(command[0], command, environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triton.server")
    parser.add_argument("--repository", type=Path, help="as `optimize build --triton` wrote it")
    parser.add_argument("--folder", type=Path, help="for what the server reads; made anew")
    parser.add_argument("--http-port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--grpc-port", type=int, default=8001, help="default: 8001")
    parser.add_argument("--threads", type=int, default=0, help="of each instance; 0: all CPUs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
