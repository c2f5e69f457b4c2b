"""What is changed about a pretrained transformer to make it an encoder."""

from typing import TYPE_CHECKING, Any

from gecko_kedro.base.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def project_to(model: "SentenceTransformer", width: int) -> None:
    """Put a linear map to ``width`` dimensions behind the pooling, unless that is the width.

    It begins as a random semi-orthogonal matrix, the same each time, which keeps angles as well as
    an untrained one can. There is no bias: the map of a zero vector is zero.
    """
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    own = model.get_embedding_dimension()
    if own is None or own == width:
        return
    weight = torch.empty(width, own)
    torch.nn.init.orthogonal_(weight, generator=torch.Generator().manual_seed(0))
    layer = Dense(own, width, bias=False, activation_function=torch.nn.Identity(),
                  init_weight=weight)  # fmt: skip
    layer.to(model.device, model.dtype)
    place = len(model) - isinstance(model[-1], Normalize)
    model.insert(place, layer)


def see_both_ways(model: "SentenceTransformer") -> None:
    """Switch the causal mask of a decoder off; an encoder, which has none, stays as it is.

    transformers reads ``is_causal`` from the configuration, so the saved model has it too. Raises
    InputError where the transformer does not heed it.
    """
    transformer: Any = model.transformers_model
    if transformer is None:
        raise InputError(
            "encoder.bidirectional",
            expected="a transformers model",
            got=type(model[0]).__name__,
            fix="Set encoder.bidirectional to false.",
        )
    transformer.config.is_causal = False
    for layer in transformer.modules():
        if hasattr(layer, "is_causal"):
            layer.is_causal = False
