"""Many runs as tables: what doesn't compare never shares a column."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from adapters.errors import InputError
from bench.cli.leaderboard import leaderboard
from bench.report.leaderboard import boards, find_runs, markdown
from tests.bench.report.runs import CONDITIONS, write_run

app = typer.Typer()
app.command("leaderboard")(leaderboard)
SMALL = {"images": 6, "tasks": ("box", "click1"), "everything": False}


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "one", ("mobile_sam", "grabcut"), **SMALL)
    write_run(tmp_path / "deeper" / "two", ("sam_vit_h",), **SMALL)
    return tmp_path


def test_runs_of_one_protocol_and_data_are_one_table_best_first(folder):
    (board,) = boards(find_runs(folder)[0])
    assert [label for label, _ in board.rows] == ["SAM ViT-H", "MobileSAM", "GrabCut"]
    assert board.columns == ("box.miou", "click1.miou")


def test_other_protocols_and_other_data_are_other_tables(folder):
    write_run(folder / "rules", ("sam_vit_b",), rules="edgesam", **SMALL)
    write_run(folder / "data", ("sam_vit_b",), digest="e" * 64, **SMALL)
    found = boards(find_runs(folder)[0])
    assert sorted(len(board.rows) for board in found) == [1, 1, 3]
    assert len({(board.study.protocol.digest, board.study.data.digest) for board in found}) == 3


def test_a_column_that_would_mix_is_refused(folder):
    write_run(folder / "rules", ("sam_vit_b",), rules="edgesam", **SMALL)
    runs, _ = find_runs(folder)
    with pytest.raises(InputError, match=r"click1\.miou would mix efficientvit/.* edgesam/|would mix edgesam/"):
        boards(runs, ["click1.miou"])
    (board,) = boards(runs, ["click1.miou"], "efficientvit")
    assert len(board.rows) == 3
    with pytest.raises(InputError, match="did you mean"):
        boards(runs, ["click1.miuo"])


def test_a_model_measured_twice_is_refused_unless_conditions_tell_it_apart(folder):
    write_run(folder / "again", ("grabcut",), **SMALL)
    with pytest.raises(InputError, match="both hold grabcut under efficientvit"):
        boards(find_runs(folder)[0])


def test_other_precisions_are_models_of_their_own(folder):
    half = CONDITIONS.model_copy(update={"dtype": "bf16"})
    write_run(folder / "half", ("mobile_sam",), conditions=half, **SMALL)
    (board,) = boards(find_runs(folder)[0])
    assert {"MobileSAM, cpu fp32", "MobileSAM, cpu bf16"} <= {label for label, _ in board.rows}


def test_what_gave_way_is_marked_and_not_ranked(tmp_path):
    write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h"), replaced={"sam_vit_h": ("points.next=random",)}, **SMALL)
    (board,) = boards(find_runs(tmp_path)[0])
    assert [label for label, _ in board.rows] == ["MobileSAM", "SAM ViT-H"]
    assert "† SAM ViT-H, box.miou: with points.next=random instead; not ranked" in "\n".join(markdown([board]))


def test_unfinished_and_foreign_runs_are_left_out_by_name(folder):
    write_run(folder / "stopped", ("sam_vit_b",), status="stopped", **SMALL)
    write_run(folder / "newer", ("sam_vit_b",), schema=99, **SMALL)
    result = CliRunner().invoke(app, [str(folder)])
    assert result.exit_code == 0
    told = result.stderr
    assert "is stopped" in told
    assert "schema version 99" in told
    assert CliRunner().invoke(app, [str(folder), "--markdown"]).stdout.startswith("### efficientvit on coco")


def test_no_run_at_all(tmp_path):
    with pytest.raises(InputError, match="no finished run under"):
        find_runs(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        find_runs(tmp_path / "nowhere")
