"""What can go wrong, and what each failed request is counted as."""


class LoadTestError(Exception):
    """A failure whose message is one line for the user.

    LoadTestError
    ├── OptionError        an option or a targets file that cannot be used
    ├── ResultError        a result that cannot be read or written
    └── RequestError       a request that failed
        ├── TargetError    no whole answer came
        ├── UnsentError    it could not be sent in time
        └── AnswerError    an answer came, but an error
            ├── RefusedError   the target says that it is too busy
            └── WrongError     no answer to this question: not the output or length asked for
    """


class OptionError(LoadTestError):
    """An option or a targets file that cannot be used."""


class ResultError(LoadTestError):
    """A result that cannot be read or written."""


class RequestError(LoadTestError):
    """A request that failed; `outcome` is what it is counted as."""

    outcome = "error"


class TargetError(RequestError):
    """The target is not there, not ready, or did not answer in time."""

    outcome = "no answer"


class UnsentError(RequestError):
    """So many answers were waited for that the request could not be sent in time."""

    outcome = "not sent"


class AnswerError(RequestError):
    """The target answered with an error."""


class RefusedError(AnswerError):
    """The target is too busy, and says so (429, 503, RESOURCE_EXHAUSTED)."""

    outcome = "refused"


class WrongError(AnswerError):
    """The target answered something else than it was asked for."""

    outcome = "wrong"
