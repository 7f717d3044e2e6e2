"""Run steps in other processes: send references to steps, and receive events, log records and errors.

`bundle` pickles the bound steps of a repository, `messages` defines what is sent, `worker` runs a request in the
process that receives it, `call` sends one and records its report. An executor only provides a `Channel`.
"""

from __future__ import annotations

from rivers.executors.remote.channel import Channel, LostStepError
from rivers.executors.remote.messages import StepRequest

__all__ = ["Channel", "LostStepError", "StepRequest"]
