"""The client of each protocol."""

from loadtest.client import Client
from loadtest.targets import Target
from loadtest.v1_client import V1Client
from loadtest.v2_client import V2BinaryClient, V2Client


def make_client(target: Target, request_timeout: float) -> Client:
    """The client of the target's protocol, which waits so many seconds for a whole answer.

    Raises TargetError for a host that is none.
    """
    if target.protocol == "grpc":
        # Who speaks no gRPC neither loads it nor hands gevent to it.
        from loadtest.grpc_client import GrpcClient

        return GrpcClient(target, request_timeout)
    if target.protocol == "v1":
        return V1Client(target, request_timeout)
    if target.protocol == "v2-binary":
        return V2BinaryClient(target, request_timeout)
    return V2Client(target, request_timeout)
