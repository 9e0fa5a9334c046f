"""Models of other packages: found, listed, run like the suite's own; a broken one is named and hinders nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import adapters
from adapters.cards import cards, problems
from adapters.errors import InputError
from adapters.packages import packaged
from bench.cli import main

FAMILY = (Path(__file__).parents[1] / "tiny_family.py").read_text()
CARD = """
[{name}]
title = "Tiny"
source = "somebody/tiny@1"
licence = "MIT"
parameters = 6
preprocessing = "none"
prompts = ["box", "point"]
masks = 4
score = "predicted_iou"
everything = false
"""
FROM_FILE = "\nfrom pathlib import Path\n\ncards = Path(__file__).with_name('tiny_cards.toml')\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    forget()
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    forget()


def forget() -> None:
    """Look at the installed packages again."""
    cards.cache_clear()
    packaged.cache_clear()


def install(site: Path, module: str, content: str, entry: str | None = None) -> None:
    """Write a package of one module, as pip would install it."""
    (site / f"{module}.py").write_text(content)
    info = site / f"{module}_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sambench.adapters]\n{module} = {entry or module}\n")
    forget()


def install_tiny(site: Path) -> None:
    (site / "tiny_cards.toml").write_text(CARD.format(name="tiny"))
    install(site, "somebodys", FAMILY + FROM_FILE)


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sambench", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_a_package_brings_a_model(site):
    own = adapters.names()
    install_tiny(site)
    assert adapters.names() == (*own, "tiny")
    card = adapters.card("tiny")
    assert (card.family, card.module) == ("somebodys", "somebodys")
    assert adapters.family("tiny").__name__ == "somebodys"
    assert adapters.load("tiny").card is card
    assert problems() == ()


def test_cards_may_be_a_dict(site):
    table = {"title": "Mine", "source": "me", "licence": "MIT", "parameters": 6, "preprocessing": "none",
             "prompts": ["box"], "masks": 4, "score": "predicted_iou", "everything": False}  # fmt: skip
    install(site, "mine", f"{FAMILY}\ncards = {{'mine': {table!r}}}\n")
    assert adapters.card("mine").title == "Mine"


def test_a_run_with_somebodys_model(site, sample_folder, tmp_path, monkeypatch, capsys):
    install_tiny(site)
    out = tmp_path / "out"
    arguments = ["--models", "tiny", "--data", sample_folder, "--tasks", "box,click", "--limit", 1, "--device", "cpu"]
    assert run(monkeypatch, "run", *arguments, "--out", out) == 0
    assert "tiny" in capsys.readouterr().out
    results = pd.read_csv(out / "results.csv")
    assert set(results["model"]) == {"tiny"}
    assert results.loc[(results["task"] == "box") & (results["metric"] == "miou"), "value"].item() > 10


def test_it_is_listed_and_checked(site, monkeypatch, capsys):
    install_tiny(site)
    assert run(monkeypatch, "models") == 0
    assert "somebody/tiny@1" in capsys.readouterr().out
    assert run(monkeypatch, "check-adapter", "tiny") == 0
    assert "✗" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "entry", "said"),
    [
        ("import nowhere", None, "No module named 'nowhere'"),
        ("raise RuntimeError('two\\nlines')", None, "RuntimeError: two lines"),
        ("build = None\ncards = {}", None, "has no build"),
        ("def build(): ...", None, "has no cards"),
        ("def build(): ...\ncards = 'nowhere.toml'", None, "nowhere.toml"),
        ("def build(): ...\ncards = {'x': {'title': 'X'}}", None, "the card of x: source: Field required"),
        ("def build(): ...\ncards = {'x': 5}", None, "TypeError"),
        ("def build(): ...\ncards = {'a/b': {}}", None, "can't be a model's name"),
        ("def build(): ...\ncards = {}", "broken:build", "must name a module"),
        ("", "elsewhere", "No module named 'elsewhere'"),
    ],
)
def test_a_broken_package_is_named_and_hinders_nobody(site, content, entry, said):
    own = adapters.names()
    install_tiny(site)
    install(site, "broken", content, entry)
    assert adapters.names() == (*own, "tiny")
    (problem,) = problems()
    assert problem.startswith("package broken-package: its models can't be used: ")
    assert said in problem
    assert "\n" not in problem
    with pytest.raises(InputError, match="package broken-package"):
        adapters.card("theirs")


@pytest.mark.parametrize("name", ["grabcut", "tiny"])
def test_a_name_that_is_taken_stays_whose_it_was(site, name):
    install_tiny(site)
    (site / "others.toml").write_text(CARD.format(name=name))
    install(site, "thieves", FAMILY + FROM_FILE.replace("tiny_cards", "others"))
    (problem,) = problems()
    assert f"another model called {name}" in problem
    assert adapters.card(name).module in (None, "somebodys")


def test_a_build_that_fails_gets_a_line(site):
    (site / "tiny_cards.toml").write_text(CARD.format(name="tiny"))
    install(site, "somebodys", "def build(*given): raise KeyError('layers')" + FROM_FILE)
    with pytest.raises(InputError, match=r"tiny: somebodys\.build fails with KeyError: 'layers'"):
        adapters.load("tiny")


def test_importing_the_suite_imports_no_package(site):
    install(site, "slow", "raise SystemExit('imported')")
    code = "import adapters, bench, sys; assert 'torch' not in sys.modules and 'slow' not in sys.modules"
    path = {"PYTHONPATH": f"{site}:{Path(__file__).parents[2]}", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, env=path)
