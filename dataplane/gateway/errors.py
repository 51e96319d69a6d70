"""How a call to Triton ends that has no answer: gRPC's statuses, over whatever protocol."""

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 0, 1, 2, 3, 4, 5
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14


class TritonError(Exception):
    """A call that ended with another status than OK; `status` is gRPC's number."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Lost(TritonError):
    """The connection ended. `heard` is whether anything of the answer had come."""

    def __init__(self, detail: str, *, heard: bool) -> None:
        super().__init__(UNAVAILABLE, detail)
        self.heard = heard
