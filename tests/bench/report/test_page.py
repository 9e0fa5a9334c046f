"""The page: whole, without a network, small, and deaf to hostile names; what can't be read is said in a line."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from adapters.errors import InputError
from bench.cli.report import report
from bench.report.choice_text import task_words
from bench.report.costs import costs
from bench.report.page.published import differing, other_rules, same_rules
from bench.report.page.tables import tables
from bench.report.read import read_run
from bench.report.study import studies
from tests.bench.report.runs import write_latency, write_run

app = typer.Typer()
app.command("report")(report)
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'
MODELS = ("mobile_sam", "sam_vit_h", "grabcut")


def made(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_run(folder / "run", MODELS)
    write_run(folder / "other", ("mobile_sam",), rules="edgesam", tasks=("box",), everything=False)
    write_latency(folder / "latency.json", MODELS)
    made(folder / "run", folder / "other", "--latency", folder / "latency.json", "--out", folder / "page.html",
         "--maximize", "click1.miou", "--require", "params_m<=20")  # fmt: skip
    return (folder / "page.html").read_text()


def against(folder):
    """Return the cells of the table of everything mode that test against the reference, and its note."""
    study = studies([read_run(folder)])[0]
    [table] = [table for table in tables(study, study.labels[0]) if table.title == task_words("everything")]
    number = next((i for i, (name, _) in enumerate(table.columns) if name.startswith("against")), None)
    return None if number is None else [row[number].text for row in table.rows], table.note


def test_recall_of_the_most_proposals_is_tested(tmp_path):
    rules = tmp_path / "fewer.toml"
    rules.write_text('from = "efficientvit"\n[everything]\nlimits = [10, 300]\n')
    cells, note = against(write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h"), rules=str(rules)))
    assert cells[0] == "reference"
    assert cells[1].startswith("+")
    assert "difference of AR@300 in points" in note


def test_without_recalls_of_objects_no_test_is_claimed(tmp_path):
    folder = write_run(tmp_path / "run", ("mobile_sam", "sam_vit_h"))
    file = folder / "instances.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["recalls"]), file)
    cells, note = against(folder)
    assert cells is None
    assert "Against" not in note


def test_it_is_whole_and_small(page):
    assert len(page.encode()) < 5_000_000
    sources = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert all(source.startswith(("#", "data:")) for source in sources)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)[^\s<]*\.(?:js|css|woff)", page)
    assert page.count("<script>") == 1
    assert "default-src 'none'" in html.unescape(page)


PARTS = (
    *("Which model?", "Under params_m ≤ 20", "Separable", "Quality and time", "Where the time of a first mask goes"),
    *("How often a mask is good", "Do models agree", "Everything mode: recall against proposals", "Conditions"),
    *("By the same rules", "By other rules", "edgesam on coco", "it can&#39;t", "points.first", "A processor"),
    *("crowd, which the protocol leaves out", "a" * 64, "d" * 64),
)


@pytest.mark.parametrize("words", PARTS)
def test_every_part_is_there(page, words):
    assert words in page


def test_ids_are_unique(page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_csv_links_hold_the_figures_and_tables_data(page):
    links = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    tables = [list(csv.DictReader(io.StringIO(base64.b64decode(link).decode()))) for link in links]
    assert all(tables)
    figures, grids = page.count('<figure class="plot"'), page.count('<div class="table"')
    assert len(links) == figures + grids
    box = next(table for table in tables if table[0].get("task") == "box")
    assert {row["label"] for row in box} == {"MobileSAM", "SAM ViT-H", "GrabCut"}
    points = next(table for table in tables if "x_low" in table[0])
    assert float(points[0]["x"]) == pytest.approx(335, rel=1e-4)


def test_hostile_names_are_text(tmp_path):
    folder = write_run(tmp_path / "run", MODELS, images=6, name=HOSTILE, comparable=False)
    record = json.loads((folder / "run.json").read_text())
    for number, model in enumerate(record["plan"]["models"]):
        for key in ("title", "source", "licence", "preprocessing"):
            model[key] = f"{HOSTILE} {number}"
    record["plan"]["omitted"][0]["reason"] = HOSTILE
    record["plan"]["conditions"]["cpu"] = HOSTILE
    record["unread"] = {"1": HOSTILE}
    record["counts"]["mobile_sam"]["efficientvit"]["box"]["skipped"] = {HOSTILE: 1}
    (folder / "run.json").write_text(json.dumps(record))
    made(folder, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<script>") == 1
    assert "<img src=x" not in page
    assert "49" not in re.findall(r"onerror=alert\(2\)&gt;(.{0,12})", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema_version": 0}, "schema version 0, this sambench reads"),
        ({"schema_version": 99}, "schema version 99, this sambench reads"),
        ({"status": "running"}, "is running: the command that began it ends it"),
        ({"plan": {}}, r"plan\.models"),
    ],
)
def test_runs_that_cannot_be_read_have_one_line(tmp_path, change, told):
    folder = write_run(tmp_path / "run", images=4, everything=False)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | change))
    with pytest.raises(InputError, match=told):
        made(folder, "--out", tmp_path / "page.html")


def test_files_that_are_gone_have_one_line(tmp_path):
    folder = write_run(tmp_path / "run", images=4, everything=False)
    (folder / "instances.parquet").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"instances\.parquet can't be read"):
        made(folder, "--out", tmp_path / "page.html")
    with pytest.raises(InputError, match="no run in"):
        made(tmp_path / "nowhere")


def test_times_that_do_not_belong_together_are_refused(tmp_path):
    folder = write_run(tmp_path / "run", images=4, everything=False)
    one = write_latency(tmp_path / "one.json")
    other = write_latency(tmp_path / "other.json", ("grabcut",), cpu="Another")
    study = studies([read_run(folder)])[0]
    with pytest.raises(InputError, match="another machine"):
        costs(study, [one, other])
    with pytest.raises(InputError, match="in several --latency files"):
        costs(study, [one, one])
    with pytest.raises(InputError, match="unknown condition"):
        costs(study, [one], "cuda/fp32/eager")
    foreign = write_latency(tmp_path / "foreign.json", ("mobile_sam",), weights="b" * 64)
    with pytest.raises(InputError, match="nothing in it is of the run's models"):
        costs(study, [foreign])
    one.write_text(json.dumps(json.loads(one.read_text()) | {"schema_version": 9}))
    with pytest.raises(InputError, match="schema version 9"):
        costs(study, [one])


def test_published_numbers_stand_beside_ours_by_the_same_rules_alone(tmp_path):
    study = studies([read_run(write_run(tmp_path / "run", ("mobile_sam",), images=6))])[0]
    same, others = same_rules(study), other_rules(study)
    assert {found.verdict for found in same} <= {"agrees", "differs", "no verdict"}
    assert others
    assert all(found.why and found.verdict != "efficientvit" for found in others)
    assert any("points.first" in found.why for found in others if found.task == "click1")
    own = replace(study, protocol=study.protocol.model_copy(update={"seed": 7}))
    assert not same_rules(own)


def test_only_knobs_that_a_task_depends_on_are_named(tmp_path):
    study = studies([read_run(write_run(tmp_path / "run", ("mobile_sam",), images=4))])[0]
    assert "points." not in differing(study, "edgesam", "box")
    assert "average_precision" not in differing(study, "edgesam", "box")
    assert "points.next" not in differing(study, "edgesam", "click1")
    assert "points.next" in differing(study, "edgesam", "click3")
    assert differing(study, "efficientvit", "click1") == ""


def test_a_run_without_times_still_has_a_page(tmp_path):
    folder = write_run(tmp_path / "run", ("grabcut",), images=4, tasks=("box",), everything=False)
    (folder / "latency.csv").unlink()
    made(folder, "--out", tmp_path / "page.html")
    assert "No times are known" in (tmp_path / "page.html").read_text()
