"""From kubeconfig, or from inside a pod, to a Cluster."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes import client, config

from k8s.rollout.cluster import Cluster
from k8s.rollout.errors import Refused

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(context: str | None, namespace: str | None) -> Cluster:
    """The cluster that kubeconfig (`KUBECONFIG`) names or, without one, whose pod this is.

    Args:
        context: Of the kubeconfig; None for its current one.
        namespace: None for the context's or the pod's own.

    Raises:
        Refused: There is neither, or the kubeconfig cannot be read.
    """
    settings = client.Configuration()
    kubeconfig = os.environ.get("KUBECONFIG") or "~/.kube/config"
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and not _exists(kubeconfig)
    try:
        if in_pod and not context:
            config.load_incluster_config(client_configuration=settings)
            own = _POD_NAMESPACE.read_text("utf-8").strip()
        else:
            config.load_kube_config(kubeconfig, context, client_configuration=settings)
            own = _context_namespace(kubeconfig, context)
    except Exception as error:  # the client checks little of the YAML that it reads
        text = " ".join(str(error).split())
        raise Refused(f"kubeconfig: {text or type(error).__name__}") from error
    # urllib3's own retries know neither a deadline nor a pause.
    settings.retries = False
    return Cluster(client.ApiClient(settings), namespace or own)


def _exists(kubeconfig: str) -> bool:
    places = kubeconfig.split(os.pathsep)
    return any(Path(place).expanduser().is_file() for place in places if place)


def _context_namespace(kubeconfig: str, context: str | None) -> str:
    contexts, current = config.list_kube_config_contexts(kubeconfig)
    chosen = next((c for c in contexts if c["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")
