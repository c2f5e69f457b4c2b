"""Settings, rows and comparisons for trainings of seconds."""

import polars as pl
import torch

from gecko_kedro.training.settings import LossSettings, TrainSettings
from tests.support.example_rows import example, table

SETTINGS = TrainSettings(
    epochs=2,
    batch_size=6,
    learning_rate=1e-3,
    max_seq_length=32,
    loss=LossSettings(matryoshka_dims=(16, 8)),
    seed=3,
    tokens_per_pass=256,
    threads=1,
    precision="fp32",
    checkpoint_steps=4,
    evaluation_steps=4,
)


def changed(**values: object) -> TrainSettings:
    """SETTINGS with other values; those of the loss by their own names."""
    loss = {name: values.pop(name) for name in LossSettings.model_fields if name in values}
    settings = SETTINGS.model_dump() | values
    return TrainSettings.model_validate(settings | {"loss": settings["loss"] | loss})


def examples(rows: int) -> pl.DataFrame:
    """Two data sets; every second row has two hard negatives; lengths differ."""
    return table(
        *(
            example(
                dataset="even" if i % 2 == 0 else "odd",
                query=f"query {i}",
                positive_title=f"title {i}" if i % 3 else None,
                positive=f"passage {i * 7} " + "word " * (i % 9),
                negatives=[f"other {i}", f"last {i}"] if i % 2 == 0 else [],
                teacher_scores=[0.0, -2.0, -1.0] if i % 4 == 0 else None,
            )
            for i in range(rows)
        )
    )


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def assert_equal_weights(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different
