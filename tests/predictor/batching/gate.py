"""A session that holds its runs until it is told to go on, and requests that meet meanwhile."""

import asyncio
import threading

from predictor.sessions.fake import FakeSession
from predictor.types import Question

SHORT = [Question("Which pig?", "The second little pig built with sticks.")]
LONG = [Question("Which pig?", "The second little pig built with sticks. " * 30)]


class GateSession(FakeSession):
    """Runs only while the gate is open, and remembers the shapes it ran."""

    def __init__(self, spec, folder, options):
        super().__init__(spec, folder, options)
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.shapes = []
        self.broken = lambda batch: None

    def run(self, batch):
        self.shapes.append(batch["input_ids"].shape)
        self.running.release()
        assert self.gate.wait(20)
        self.broken(batch)
        return super().run(batch)


def ask(batcher, questions=SHORT, timeout=None):
    parameters = batcher._engine.parameters
    return asyncio.create_task(batcher.answer(questions, parameters, timeout))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


async def in_flight(batcher, session, questions=SHORT):
    """A request whose run does not end before the gate opens."""
    session.gate.clear()
    task = ask(batcher, questions)
    await until(lambda: session.running.acquire(blocking=False))
    return task
