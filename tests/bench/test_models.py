"""Which models there are, what is said of them, and which can't be run."""

from __future__ import annotations

import sys

import pytest

import adapters
from adapters.cards import cards
from adapters.errors import InputError
from bench.cli import main
from bench.cli.asked import model_names

WHY = "sam_lightening can't be run: no code or weights at a lasting address"


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sambench", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_all_are_listed(monkeypatch, capsys):
    assert run(monkeypatch, "models") == 0
    told = capsys.readouterr().out
    for card in cards().values():
        assert f"{card.name}: {card.title}, {card.source}" in told
        assert card.licence.split()[0] in told
    row = next(line for line in told.splitlines() if "sam_lightening" in line)
    assert "can't be run" in row


def test_what_each_was_held_against_is_said():
    assert not [card.name for card in cards().values() if card.module is None and not (card.proven or card.unpublished)]


def test_weights_are_here_or_not(tmp_path, monkeypatch, capsys):
    def row(name: str) -> list[str]:
        assert run(monkeypatch, "models") == 0
        line = next(line for line in capsys.readouterr().out.splitlines() if f" {name} " in line)
        return [cell.strip() for cell in line.split("│")]

    monkeypatch.setenv("SAMBENCH_CACHE", str(tmp_path))
    assert "no" in row("mobile_sam")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mobile_sam.pt").touch()
    assert "yes" in row("mobile_sam")
    assert "none needed" in row("grabcut")


@pytest.mark.parametrize("options", [{}, {"weights": "random"}, {"device": "nonsense"}])
def test_an_unpublished_model_is_refused_before_anything_else(options):
    for refuse in (lambda: adapters.load("sam_lightening", **options), lambda: adapters.family("sam_lightening")):
        with pytest.raises(InputError, match=WHY):
            refuse()
    assert adapters.card("sam_lightening").paper == "2403.09195"
    assert "sam_lightening" not in adapters.names()


@pytest.mark.parametrize("command", ["run", "latency", "predict"])
def test_commands_refuse_it_in_one_line(command, monkeypatch, capsys, tmp_path):
    out = str(tmp_path / "out")
    image = ["nowhere.jpg", "--point", "1,1"] if command == "predict" else []
    assert run(monkeypatch, command, *image, "--models", "mobile_sam,sam_lightening", "--out", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert WHY in line


def test_all_leaves_out_what_cannot_be_run_and_says_so(capsys):
    assert model_names(["all"]) == list(adapters.names())
    assert "all: 1 left out that can't be run: sam_lightening" in capsys.readouterr().err


def test_all_leaves_out_what_cannot_have_random_weights_where_they_are_asked_for(capsys):
    left = set(adapters.names()) - set(model_names(["all"], ["random"]))
    assert left == {"slim_sam_50", "slim_sam_77"}
    assert "all: 2 left out that can't have random weights: slim_sam_50, slim_sam_77" in capsys.readouterr().err
    assert model_names(["slim_sam_50"], ["random"]) == ["slim_sam_50"]


def test_licences_that_forbid_commercial_use_are_said_where_a_model_is_chosen(capsys):
    assert model_names(["edge_sam", "mobile_sam", "edge_sam"]) == ["edge_sam", "mobile_sam"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "edge_sam: its licence, S-Lab-1.0 (non-commercial), forbids commercial use"
    assert model_names(["mobile_sam", "grabcut"]) == ["mobile_sam", "grabcut"]
    assert capsys.readouterr().err == ""
