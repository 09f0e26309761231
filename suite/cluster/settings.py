"""Compute settings: where a suite runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)


class Compute(BaseModel):
    """Where a suite runs; no figure depends on it, up to rounding, so it is in no digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | tuple[int, int] = Field(
        1, description="training workers per model; [fewest, most]: as many as the cluster can hold"
    )
    cpus_per_worker: int = Field(
        1, ge=1, description="CPUs and threads of a worker; at most those of a node"
    )
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    gpu_share: float = Field(
        1, gt=0, le=1, description="share of a GPU per worker; below 1, several fits share one"
    )
    node_labels: dict[str, str] = Field(
        default_factory=dict, description="Ray node labels required of all workers"
    )
    compile: bool = Field(False, description="torch.compile the training step")
    wait_s: float = Field(
        600, gt=0, description="seconds that a step waits for resources the cluster does not have"
    )

    @field_validator("workers", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> int | tuple[int, int]:
        bounds = given if isinstance(given, list | tuple) else (given, given)
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in bounds)
        if len(bounds) != 2 or not whole or not 1 <= bounds[0] <= bounds[1]:
            raise ValueError("a number from 1, or [fewest, most]")
        return bounds[0] if bounds[0] == bounds[1] else (bounds[0], bounds[1])

    @model_validator(mode="after")
    def _gpu_of_its_own(self) -> Compute:
        if self.gpu_share < 1 and self.most_workers > 1:
            # NCCL refuses two workers of one run on the same GPU.
            raise ValueError(f"gpu_share {self.gpu_share:g} with one worker only, not several")
        return self

    @property
    def fewest_workers(self) -> int:
        """Lower bound of the number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most_workers(self) -> int:
        """Upper bound of the number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def most_cpus(self) -> int:
        """Upper bound of the CPUs that a fit and its workers hold."""
        return self.most_workers * self.cpus_per_worker

    @property
    def task_cpus(self) -> int:
        """CPUs that the task of a fit holds: none if its workers hold their own."""
        return 0 if self.most_workers > 1 else self.cpus_per_worker
