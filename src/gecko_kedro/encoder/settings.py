"""What can be set about opening an encoder."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from gecko_kedro.base.settings import EXECUTION, Count, Limit, Settings
from gecko_kedro.encoder.encoding import Vectors, encode_texts
from gecko_kedro.encoder.loading import PACKAGED, Dtype, load_encoder
from gecko_kedro.encoder.model import Encoder


class LoadSettings(Settings):
    """How an encoder is opened, by default the installed one; see ``load_encoder``."""

    reference: str = Field(PACKAGED, description="installed model, local folder or hub id")
    device: str = Field("auto", json_schema_extra=EXECUTION)
    dtype: Dtype = Field("auto", description="bfloat16 where that is fast; training has float32")
    batch_size: Count | Literal["auto"] = Field(
        "auto", description="texts a batch; auto: by the device", json_schema_extra=EXECUTION
    )
    max_seq_length: Count = Field(256, description="tokens")
    trust_remote_code: bool = False
    attention: str | None = Field("auto", json_schema_extra=EXECUTION)
    bidirectional: bool = Field(False, description="a decoder's tokens see those behind them")
    width: Limit = Field(None, description="of a projection to be trained; null: the model's own")

    def load(
        self,
        reference: str | None = None,
        *,
        for_training: bool = False,
        max_seq_length: int | None = None,
    ) -> Encoder:
        """The encoder ``reference``, by default that of the settings, as they say."""
        how = self.model_dump(exclude={"reference", "batch_size"})
        if max_seq_length is not None:
            how["max_seq_length"] = max_seq_length
        return load_encoder(reference or self.reference, for_training=for_training, **how)

    def of(self, reference: str) -> "LoadSettings":
        """The same for a model that is read as it was saved, such as one that was trained.

        Its mask and its projection are in the folder. A base gets neither here: it is scored as it
        was published.
        """
        return self.model_copy(
            update={"reference": reference, "bidirectional": False, "width": None}
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """``(n, d)`` L2-normalised vectors of bare texts."""
        return encode_texts(self.load(), texts, batch_size=self.batch_size)
