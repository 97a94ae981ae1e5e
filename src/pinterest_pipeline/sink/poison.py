"""A record that cannot be landed (pure)."""

from pinterest_pipeline.errors import BadRecord


class Poison(BadRecord):
    """Why one record cannot be landed; `component` is what refused it, in Connect's words."""

    def __init__(self, reason: str, component: str, stage: str = "TASK_PUT") -> None:
        self.component = component
        self.stage = stage
        super().__init__(reason)
