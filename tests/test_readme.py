"""What the README shows of the library runs as it stands there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_RESULTS = """
assert found.ids[:, 0].tolist() == [0, 2], found.ids
assert ranking.filter(fused_rank=1)["passage_id"].to_list() == ["a", "c"], ranking
assert trainer.state.global_step == 2
assert scores.filter("main")["dimension"].to_list() == [384, 256], scores
assert scores.filter("main")["score"].min() == 1.0, scores
"""


def blocks() -> list[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    section = re.search(r"^## As a library\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert section
    return re.findall(r"^```python\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)


def test_the_section_as_a_library_runs_from_top_to_bottom(tmp_path: Path) -> None:
    found = blocks()
    assert len(found) == 4
    prompts = "conf/prompts/gecko.yml"
    (tmp_path / prompts).parent.mkdir(parents=True)
    shutil.copy(ROOT / prompts, tmp_path / prompts)
    script = "\n".join([*found, _RESULTS])
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
