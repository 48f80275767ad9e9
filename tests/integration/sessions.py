"""Sessions that misbehave, for servers in processes of their own."""

import time

from predictor.sessions.fake import FakeSession


class StuckSession(FakeSession):
    """Never comes back from a run."""

    def run(self, batch):
        time.sleep(3600)


class AwaySession(FakeSession):
    """Its model is elsewhere, and `there` says whether it can be reached."""

    there = True

    def ready(self):
        return self.there
