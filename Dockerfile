# One file for all images; `make image TARGET=…` builds one, docs/images.md lists them.
# Build arguments: BASE_IMAGE, for optimize ONNXRUNTIME; pip's own PIP_INDEX_URL and
# PIP_EXTRA_INDEX_URL. Secrets that are given are used and not kept: pip_conf, a configuration file.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /app
COPY LICENSE ./

# The lists of pyproject.toml, one file each: a change elsewhere in it installs nothing anew.
FROM base AS requirements
COPY pyproject.toml ./
RUN python3 -c "\
import tomllib; \
project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
lists = {'predictor': project['dependencies']} | project['optional-dependencies']; \
lists['torch'] = [line for line in lists['optimize'] if line.startswith('torch==')]; \
[open(name + '.txt', 'w').write('\n'.join(lines) + '\n') for name, lines in lists.items()]"

# A virtual environment that is filled from outside holds no pip.
FROM base AS build
RUN python3 -m venv --without-pip /opt/venv
ENV PIP_PYTHON=/opt/venv/bin/python \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY constraints.txt ./

# What nothing imports is a fifth of it: the packages' own tests, and a second client of Kubernetes.
FROM build AS serving
COPY --from=requirements /app/predictor.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement predictor.txt
RUN find /opt/venv/lib -type d '(' -name tests -o -path '*/kubernetes/aio' ')' -prune \
        -exec rm -r {} +

FROM serving AS predictor-packages
COPY --from=requirements /app/cpu.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement cpu.txt

FROM serving AS predictor-gpu-packages
COPY --from=requirements /app/gpu.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement gpu.txt

# PyPI's torch brings CUDA; that of PyTorch's CPU index, given as PIP_EXTRA_INDEX_URL, does not.
FROM serving AS optimize-packages
COPY --from=requirements /app/torch.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement torch.txt
ARG ONNXRUNTIME=cpu
COPY --from=requirements /app/${ONNXRUNTIME}.txt /app/optimize.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement "${ONNXRUNTIME}.txt" \
        --requirement optimize.txt

FROM build AS loadtest-packages
COPY --from=requirements /app/loadtest.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement loadtest.txt
RUN find /opt/venv/lib -type d -name tests -prune -exec rm -r {} +

FROM build AS demo-packages
COPY --from=requirements /app/demo.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    pip install --constraint constraints.txt --requirement demo.txt

FROM base AS predictor
LABEL org.opencontainers.image.title="Spanserve predictor" \
      org.opencontainers.image.description="Serves a question answering artifact on a CPU."
COPY --from=predictor-packages /opt/venv /opt/venv
COPY predictor/ predictor/
USER 1000:1000
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "predictor"]

FROM base AS predictor-gpu
LABEL org.opencontainers.image.title="Spanserve predictor for GPUs" \
      org.opencontainers.image.description="Serves a question answering artifact with CUDA."
# What of the driver NVIDIA's container runtime mounts; which GPUs is the scheduler's choice.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=predictor-gpu-packages /opt/venv /opt/venv
COPY predictor/ predictor/
USER 1000:1000
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "predictor"]

FROM base AS optimize
LABEL org.opencontainers.image.title="Spanserve optimize" \
      org.opencontainers.image.description="Makes artifacts, and serves PyTorch baselines."
# A user without a name or a home: what libraries keep goes to /tmp.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HF_HOME=/tmp/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    USER=spanserve
COPY --from=optimize-packages /opt/venv /opt/venv
COPY demo/checkpoint/ demo/checkpoint/
COPY demo/data/ demo/data/
COPY predictor/ predictor/
COPY optimize/ optimize/
USER 1000:1000
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "optimize"]

FROM base AS loadtest
LABEL org.opencontainers.image.title="Spanserve load test" \
      org.opencontainers.image.description="Locust scenarios for question answering servers."
# Where matplotlib keeps its list of fonts.
ENV MPLCONFIGDIR=/tmp/matplotlib
COPY --from=loadtest-packages /opt/venv /opt/venv
COPY loadtest/ loadtest/
USER 1000:1000
# The web UI, and where a master hears its workers.
EXPOSE 8089 5557
ENTRYPOINT ["locust", "-f", "loadtest/locustfile.py"]

FROM base AS demo
LABEL org.opencontainers.image.title="Spanserve demo" \
      org.opencontainers.image.description="A page that asks several models side by side."
# Nothing is counted or looked up anywhere.
ENV GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1
COPY --from=demo-packages /opt/venv /opt/venv
COPY loadtest/ loadtest/
COPY demo/__init__.py demo/__main__.py demo/app.py demo/errors.py demo/
COPY demo/page/ demo/page/
USER 1000:1000
EXPOSE 7860
ENTRYPOINT ["python", "-m", "demo"]
