"""Load tests for a question-answering model behind the V2 protocol, a black box over HTTP."""
