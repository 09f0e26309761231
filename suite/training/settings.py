"""Training settings of torch models."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)


class Training(BaseModel):
    """Training settings of torch models.

    Defaults as in "Phase 3B: LSTM Model - Beyond the MLP Baseline" (94-806 Privacy in the Digital
    Age, Carnegie Mellon University).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(30, ge=1)
    patience: int = Field(
        7, ge=1, description="epochs without a better validation AUC before training stops"
    )
    batch_size: int = Field(512, ge=1, description="events of a global batch")
    micro_batch_size: int | None = Field(
        None, ge=1, description="events a worker computes at once; gradients are accumulated"
    )
    user_cap: int = Field(64, ge=1, description="maximum events of one user in a batch")
    learning_rate: float = Field(8e-4, gt=0, description="peak of the one-cycle schedule")
    pct_start: float = Field(0.3, gt=0, lt=1)
    weight_decay: float = Field(3e-4, ge=0)
    finetune_epochs: int = Field(
        0, ge=0, description="epochs on the validation window after selection; scored separately"
    )
    precision: Literal["float32", "float64", "bf16"] = Field(
        "float32",
        description="arithmetic of training; bf16 keeps float32 weights; not on mps",
    )

    @model_validator(mode="after")
    def _cap_fits(self) -> Training:
        if self.user_cap > self.batch_size // 2:
            raise ValueError(f"user_cap {self.user_cap} up to half of batch_size {self.batch_size}")
        return self
