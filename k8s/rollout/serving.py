"""Waits until a version is what every pod of the service serves, and tries it."""

from __future__ import annotations

import http.client
import time

from k8s.rollout import pods, service
from k8s.rollout.access import Access
from k8s.rollout.cluster import Cluster, Deadline, Object
from k8s.rollout.errors import NotServing, Refused, Superseded
from k8s.rollout.output import say
from k8s.rollout.service import State
from k8s.rollout.smoke import NotYet, Smoke


class Serving:
    """One InferenceService in Standard mode and its predictor's pods."""

    def __init__(
        self, cluster: Cluster, name: str, access: Access, smoke: Smoke, interval: float
    ) -> None:
        """Takes how the pods are reached and tried, and the seconds between two looks."""
        self._cluster = cluster
        self._name = name
        self._access = access
        self._smoke = smoke
        self._interval = interval

    def state(self) -> State:
        """What the InferenceService says; raises Refused where there is none to roll out."""
        found = self._cluster.inference_service(self._name)
        if found is None:
            raise Refused(
                f"inferenceservice {self._name} is not in namespace {self._cluster.namespace}; "
                "is KServe installed, and an overlay applied? kubectl apply -k k8s/overlays/<one>"
            )
        return service.read(found)

    def prove(self, version: int, deadline: Deadline) -> None:
        """Returns once all pods serve the version and have answered rightly.

        Ready alone would say too little: while pods are replaced, those of the version before keep
        the service ready.

        Raises:
            NotServing: They did not become ready in time, or answer wrongly.
            Superseded: Another version was put in place meanwhile.
        """
        said = ""
        while True:
            self._cluster.deadline = deadline
            try:
                answer = self._look(version)
            except NotYet as lack:
                if str(lack) != said:
                    said = str(lack)
                    say(f"version {version}: {said}")
            else:
                say(f"version {version}: serves, and answers {answer!r}")
                return
            if deadline.left <= self._interval:
                raise NotServing(
                    f"version {version} does not serve after {deadline.seconds:g} s: {said}"
                )
            time.sleep(self._interval)

    def urls(self, state: State) -> list[str]:
        """Where the service answers: outside, if it has a route, and inside the cluster."""
        name = f"{self._name}-predictor"
        inside = f"http://{name}.{self._cluster.namespace}.svc.cluster.local"
        found = self._cluster.service(name)
        if found and found["spec"].get("clusterIP") == "None":
            # Headless: names lead to pods, and no Service maps its port to theirs.
            inside += f":{found['spec']['ports'][0].get('targetPort', 8080)}"
        return [state.url, inside] if state.url and state.url != inside else [inside]

    def _look(self, version: int) -> str:
        state = self.state()
        if state.served != version:
            raise Superseded(
                f"version {state.served} of {self._name} was put in place by somebody else while "
                f"version {version} was waited for"
            )
        if not state.ready:
            raise NotYet(f"inferenceservice {state.reason}{self._troubles()}")
        live = self._live_pods()
        if not live:
            raise NotYet("there is no predictor pod")
        if not all(map(pods.ready, live)):
            raise NotYet(self._troubles().removeprefix("; "))
        try:
            for pod in live:
                self._smoke.check_version(self._access, pod, version)
            answers = [self._smoke.check_answer(self._access, pod) for pod in live]
        except (OSError, http.client.HTTPException) as error:
            raise NotYet(f"no answer: {str(error) or type(error).__name__}") from error
        return answers[0]

    def _live_pods(self) -> list[Object]:
        # As KServe's Service selects them; a canary's pods are not among them.
        labels = f"app=isvc.{self._name}-predictor"
        return list(filter(pods.live, self._cluster.pods(labels)))

    def _troubles(self) -> str:
        unready = [pod for pod in self._live_pods() if not pods.ready(pod)]
        return "".join(f"; pod {p['metadata']['name']}: {pods.trouble(p)}" for p in unready)
