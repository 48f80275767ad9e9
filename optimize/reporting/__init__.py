"""The journey report and its charts."""
