"""Questions: SQuAD files, their metrics, and questions made of other ones."""
