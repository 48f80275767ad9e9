"""The parts of the side-by-side page: asking the models, and what is shown of their answers."""
