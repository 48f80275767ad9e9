"""The client of each protocol."""

from loadtest.clients.base import Client
from loadtest.clients.v1 import V1Client
from loadtest.clients.v2 import V2BinaryClient, V2Client
from loadtest.targets import Target


def make_client(target: Target, request_timeout: float) -> Client:
    """The client of the target's protocol, which waits so many seconds for a whole answer.

    Raises TargetError for a host that is none.
    """
    if target.protocol == "grpc":
        # Who speaks no gRPC neither loads it nor hands gevent to it.
        from loadtest.clients.v2_grpc import GrpcClient

        return GrpcClient(target, request_timeout)
    if target.protocol == "v1":
        return V1Client(target, request_timeout)
    if target.protocol == "v2-binary":
        return V2BinaryClient(target, request_timeout)
    return V2Client(target, request_timeout)
