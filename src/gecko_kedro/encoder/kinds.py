"""Which kinds of model can be embedded with and trained here, and what is changed about them."""

import logging
from typing import Any

from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder.model import Encoder

logger = logging.getLogger(__name__)

# First modules that read text and can be trained: a transformer, or one vector for each token.
_TRAINED = {"Transformer", "StaticEmbedding"}
_ENDS = {"Pooling", "StaticEmbedding", "BoW", "CLIPModel", "Router"}  # in one vector a text
_LACKING = {
    "Router": "queries and passages have encoders of their own in it (asymmetric)",
    "CLIPModel": "its text and image towers are trained together, which is not done here",
    "MLMTransformer": "it is a sparse encoder, whose vectors are as long as the vocabulary",
    "SparseStaticEmbedding": "it is a sparse encoder, whose vectors are as long as the vocabulary",
    "BoW": "it counts words and has no weights to train",
}


def check_kind(model: Encoder, *, reference: str, for_training: bool) -> None:
    """Raise InputError, with the kind and the reason, for a model that cannot be used here.

    Used: a transformer, or static token vectors, that ends in one vector a text. For training its
    weights must not be quantised, either.
    """
    kind = type(model[0]).__name__
    one_vector = bool(_ENDS & {type(module).__name__ for module in model}) or (
        "sentence_embedding" in (getattr(model[0], "module_output_name", None) or "")
    )
    if model.get_embedding_dimension() is None or not one_vector:
        raise _refused(reference, kind, "it gives a vector for each token and none for the text")
    if not for_training:
        return
    if kind not in _TRAINED:
        raise _refused(reference, kind, _LACKING.get(kind, "its kind cannot be trained here"))
    config: Any = getattr(model.transformers_model, "config", None)
    if getattr(config, "quantization_config", None) is not None:
        raise _refused(reference, kind, "its weights are quantised, and they would not change")
    heads = [name for name in getattr(config, "architectures", None) or [] if "Classif" in name]
    if heads:
        logger.warning(
            "encoder %s: %s is a classifier or cross-encoder; its transformer is taken, without "
            "the head", reference, heads[0],
        )  # fmt: skip


def give_padding_token(model: Encoder, *, reference: str) -> None:
    """Let a tokenizer without a padding token (GPT-2, Llama) pad with its end-of-text token.

    Which one it is does not matter: padding is masked. Raises InputError where there is no special
    token at all.
    """
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    if not hasattr(tokenizer, "pad_token") or tokenizer.pad_token is not None:
        return
    for name in ("eos_token", "unk_token", "bos_token"):
        token = getattr(tokenizer, name, None)
        if token is not None:
            tokenizer.pad_token = token
            logger.info("encoder %s has no padding token: it pads with %s", reference, token)
            return
    raise InputError(
        f"encoder {reference}",
        expected="a tokenizer with a special token to pad with",
        got="a tokenizer without padding, end-of-text, unknown or begin-of-text token",
        fix="Set tokenizer.pad_token and save the tokenizer into the model's folder.",
    )


def _refused(reference: str, kind: str, why: str) -> InputError:
    return InputError(
        f"encoder {reference}",
        expected="a transformer or static embeddings with one dense vector a text",
        got=f"a model that starts with {kind}: {why}",
        fix="Choose another encoder.load.reference.",
    )


def project_to(model: Encoder, width: int) -> None:
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


def see_both_ways(model: Encoder) -> None:
    """Switch the causal mask of a decoder off; an encoder, which has none, stays as it is.

    transformers reads ``is_causal`` from the configuration, so the saved model has it too. Raises
    InputError where the transformer does not heed it.
    """
    transformer: Any = model.transformers_model
    if transformer is None:
        raise InputError(
            "encoder.load.bidirectional",
            expected="a transformers model",
            got=type(model[0]).__name__,
            fix="Set encoder.load.bidirectional to false.",
        )
    transformer.config.is_causal = False
    for layer in transformer.modules():
        if hasattr(layer, "is_causal"):
            layer.is_causal = False
