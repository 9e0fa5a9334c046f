"""The notebooks run from beginning to end, and are kept without outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def execute(name: str, monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Run a notebook and return all that it printed or showed as text."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for variable, value in environment.items():
        monkeypatch.setenv(f"SAMBENCH_{variable}", value)
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(FOLDER.parent), inherited])))
    notebook = nbformat.read(FOLDER / name, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(str(output.get("text", "")) + str(output.get("data", "")) for output in outputs)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("01-one-image.ipynb", "image/png"),
        ("02-five-numbers.ipynb", "efficientsam"),
        ("03-choosing.ipynb", "image/png"),
        ("04-adding-an-adapter.ipynb", "passed - masks lie on their objects"),
    ],
)
def test_a_notebook_runs_on_drawn_scenes(name, shown, sample_folder, monkeypatch):
    printed = execute(name, monkeypatch, DATA=str(sample_folder), LIMIT="2", MODELS="grabcut")
    assert shown in printed
    assert name != "04-adding-an-adapter.ipynb" or "wrong - masks lie on their objects" in printed


@pytest.mark.shared
def test_a_notebook_runs_on_real_images(coco_folder, monkeypatch):
    printed = execute("01-one-image.ipynb", monkeypatch, DATA=str(coco_folder), MODELS="mobile_sam,grabcut")
    assert "image/png" in printed


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_outputs_and_listed(name):
    content = json.loads((FOLDER / name).read_bytes())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert name in (FOLDER / "README.md").read_text()
