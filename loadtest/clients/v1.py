"""KServe's V1 protocol over REST, which tells no token counts."""

import json

from loadtest.clients.base import Reply
from loadtest.clients.rest import HttpClient
from loadtest.errors import WrongError
from loadtest.prompts import Prompt


class V1Client(HttpClient):
    """Asks `:predict`."""

    def check_ready(self) -> None:
        """Raises TargetError unless the model is ready."""
        self.check_path(f"/v1/models/{self.model_path}")

    def infer(self, prompt: Prompt) -> Reply:
        """Ask one question; raises RequestError."""
        instance = {"question": prompt.question, "context": prompt.context}
        body = json.dumps({"instances": [instance]}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.post(f"/v1/models/{self.model_path}:predict", body, headers)
        try:
            (_,) = json.loads(answer.body)["predictions"]
        except (ValueError, KeyError, TypeError):
            raise WrongError("the answer is not one prediction of the V1 protocol") from None
        return answer.reply(None)
