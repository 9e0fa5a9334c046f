"""The published numbers and tables as data: what must hold of every row."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

import adapters
import bench
from adapters.errors import InputError
from bench.papers.catalogue import datasets, detectors, models, other_models
from bench.papers.cells import cells
from bench.papers.cost import cost
from bench.papers.files import papers_folder, read_toml
from bench.papers.missing import AtHand, missing
from bench.papers.numbers import numbers
from bench.papers.table import Rule, table, tables
from bench.protocols import protocol, protocol_names
from bench.protocols.tasks import tasks_of

COLUMNS = ["paper", "arxiv", "table", "model", "dataset", "protocol", "metric", "value", "unit", "hardware", "source",
           "verified"]  # fmt: skip
COSTS = {"params_m", "encoder_params_m", "decoder_params_m", "encoder_macs_g", "encoder_layer_macs_g", "decoder_macs_g"}
STAGES = {"preprocess", "encode", "decode", "postprocess", "everything"}
ALL_CELLS = [cell for each in tables().values() for cell in cells(each)]


def test_ids_are_unique():
    counts = Counter(number.id for number in numbers())
    assert counts.most_common(1)[0][1] == 1
    assert len(counts) > 1000


def test_no_number_stands_there_twice():
    same = Counter(
        (n.paper, n.table, n.model, n.dataset, n.protocol, n.metric, n.hardware, n.published) for n in numbers()
    )
    assert same.most_common(1)[0][1] == 1


def test_contradicting_numbers_are_noted():
    by_key: dict[tuple[str, ...], list[object]] = {}
    for number in numbers():
        key = (
            number.paper,
            number.table,
            number.model,
            number.dataset,
            number.protocol,
            number.metric,
            number.hardware,
        )
        by_key.setdefault(key, []).append(number)
    doubles = [found for found in by_key.values() if len(found) > 1]
    assert doubles
    assert all(number.note for found in doubles for number in found)


@pytest.mark.parametrize(
    ("metric", "unit", "low", "high"),
    [
        ("mIoU", "%", 5, 100),
        ("AP", "%", 5, 100),
        ("mask AP", "%", 5, 100),
        ("mask AR@", "%", 1, 100),
        ("bbox AR@", "%", 1, 100),
        ("params", "M", 1, 700),
        ("encoder params", "M", 1, 700),
        ("MACs", "G", 10, 3100),
        ("FLOPs", "G", 10, 6000),
        ("latency", "ms", 1, 10000),
        ("encoder latency", "ms", 1, 10000),
        ("throughput", "img/s", 1, 1000),
        ("FPS", "img/s", 1, 1000),
        ("GPU memory", "MB", 100, 10000),
        ("ODS", "%", 50, 100),
    ],
)
def test_units_and_ranges(metric, unit, low, high):
    found = [n for n in numbers() if n.metric.startswith(metric) and n.value is not None]
    assert found
    assert {n.unit for n in found} == {unit}
    assert all(low <= n.value <= high for n in found)


def test_values_are_what_was_printed():
    for number in numbers():
        if number.value is None:
            assert not re.match(r"^[-+]?\d", number.published)
            continue
        factor = 100 if number.unit == "%" and number.published_unit != "%" else 1
        assert number.value == pytest.approx(float(number.published) * factor)
        if number.published_unit:
            assert number.published_unit == number.unit or (number.published_unit, number.unit) in {
                ("fraction", "%"), ("FPS", "img/s"), ("images/s", "img/s"), ("GFLOPs", "G"), ("IoU points", "points"),
            }  # fmt: skip


def test_what_is_known_second_hand_says_so():
    second_hand = [number for number in numbers() if not number.verified]
    assert second_hand
    assert all("second-hand" in n.source or "unverified" in n.source for n in second_hand)
    assert all(number.paper.startswith("Survey") != number.verified or number.paper == "SAM" for number in numbers())


def test_misprints_that_circulate_are_not_copied():
    values = {(n.paper, n.metric, n.value) for n in numbers()}
    assert not {value for _, metric, value in values if "decoder params" in metric} & {387.0}
    assert ("MobileSAM", "decoder latency", 4.0) in values
    assert ("MobileSAM", "decoder latency", 2.0) not in values


def test_anchors():
    by_id = {number.id: number for number in numbers()}
    assert by_id["efficientvit-table2/sam_vit_h/coco/click1/miou"].value == 58.4
    assert by_id["segment-anything-fast/sam_vit_h/coco/fp32-bs1/click1/miou"].value == pytest.approx(58.417)
    assert by_id["efficientsam-table4/mobile_sam/coco/click1/miou"].value == 43.7
    assert by_id["edgesam-table3/mobile_sam/coco/click1/miou"].value == 50.9
    assert by_id["efficientsam-table4/mobile_sam/coco/box/miou"].rounding == pytest.approx(0.05)
    assert by_id["mobilesam-table7/mobile_sam/sa1b/pair200/miou"].rounding == pytest.approx(0.5)


def test_nothing_of_the_reference_list_is_lost(shared: Path):
    """Apply corrections.toml to the list that numbers.csv was made from; then they are equal, row for row."""
    corrections = read_toml("corrections.toml")
    rows = pd.read_csv(shared / "reference" / "paper_tables.csv", dtype=str, keep_default_na=False)
    for change in corrections["removed"]:
        hit = _where(rows, change["where"])
        assert hit.sum() > change["keep"]
        rows = rows.drop(rows[hit].index[change["keep"] :])
    for change in corrections["replaced"]:
        hit = _where(rows, {**change.get("where", {}), change["column"]: change["was"]})
        assert hit.any(), change
        rows.loc[hit, change["column"]] = change["is"]
    added = {change["id"] for change in corrections["added"]}
    with (papers_folder() / "numbers.csv").open(encoding="utf-8") as file:
        ours = pd.read_csv(file, dtype=str, keep_default_na=False)
    assert added <= set(ours["id"])
    ours = ours[~ours["id"].isin(added)].drop(columns=["value", "unit"])
    ours = ours.rename(columns={"published": "value", "published_unit": "unit"})
    assert _bag(ours) == _bag(rows)


def _where(rows, values):
    hit = pd.Series(True, index=rows.index)
    for column, value in values.items():
        hit &= rows[column] == value
    return hit


def _bag(rows):
    return Counter(rows[COLUMNS].itertuples(index=False, name=None))


def test_corrections_say_why():
    content = tomllib.loads((papers_folder() / "corrections.toml").read_text())
    assert all(change["why"] for changes in content.values() for change in changes)


def test_a_row_that_is_wrong_is_refused():
    good = numbers()[0].model_dump()
    type(numbers()[0]).model_validate(good)
    for wrong in ({"unit": "s"}, {"source": ""}, {"id": "no slash"}, {"value": "OOM"}, {"arxiv": "1"}):
        with pytest.raises(ValidationError):
            type(numbers()[0]).model_validate({**good, **wrong})


def test_every_number_of_a_table_is_in_exactly_one_table():
    covered = Counter(cell.published.id for cell in ALL_CELLS)
    assert covered.most_common(1)[0][1] == 1
    claimed = {(each.paper, name) for each in tables().values() for name in each.tables}
    assert {n.id for n in numbers() if (n.paper, n.table) in claimed} == set(covered)


@pytest.mark.parametrize("name", tables())
def test_tables_are_whole(name):
    chosen = tables()[name]
    of_table = cells(chosen)
    assert {cell.published.table for cell in of_table} == set(chosen.tables)
    assert all(any(cell.rule is rule for cell in of_table) for rule in chosen.cells), "a rule that covers nothing"
    paper_models = {cell.published.model for cell in of_table}
    assert set(chosen.models) <= paper_models
    for cell in of_table:
        assert cell.published.dataset in datasets()
        assert cell.published.model in {**models(), **other_models(), **chosen.models}
        assert cell.preset in protocol_names()
        assert not cell.rule.detector or (cell.rule.detector in detectors() and cell.task == "detector_box")
        if cell.rule.measure == "cost":
            assert cell.ours in COSTS
        if cell.rule.measure == "latency":
            assert set(cell.ours.split("+")) <= STAGES
        if cell.task:
            assert cell.task in tasks_of(protocol(cell.preset))


def test_every_promised_table_is_there():
    expected = {"efficientsam-table4", "efficientsam-table5", "edgesam-table2", "edgesam-table3", "edgesam-table4"}
    expected |= {f"mobilesam-{name}" for name in ("encoder", "decoder", "pipeline", "fastsam", "table7")}
    expected |= {f"mobilesamv2-table{number}" for number in range(2, 8)}
    expected |= {f"fastsam-table{number}" for number in (1, 3, 4, 5, 6)}
    expected |= {f"efficientvit-table{number}" for number in range(1, 6)}
    expected |= {f"survey-table{number}" for number in range(4, 9)}
    expected |= {"slimsam-table1", "sam-table4", "sam-table5", "tap", "tinysam", "segment-anything-fast"}
    assert expected <= set(tables())


def test_models_of_the_suite_are_called_what_it_calls_them():
    """A name of a model that is in the suite already is spelled as it spells it."""
    ours = {model for cell in ALL_CELLS if (model := cell.model) is not None}
    assert {"sam_vit_h", "sam_vit_b", "mobile_sam", "efficient_sam_ti", "fast_sam_s", "fast_sam_x"} <= ours
    assert set(models().values()) & set(adapters.names()) >= {"sam_vit_l", "efficient_sam_s"}
    assert not set(models()) & set(other_models())


def test_what_a_cell_lacks():
    by_id = {cell.published.id: cell for cell in ALL_CELLS}
    nothing, everything = AtHand(lambda _: False), AtHand(lambda _: True)

    def kind(name: str, at_hand: AtHand) -> str | None:
        lacks = missing(by_id[name], at_hand)
        return lacks.kind if lacks is not None else None

    box = "efficientsam-table4/mobile_sam/coco/box/miou"
    assert kind(box, everything) is None
    lacks = missing(by_id[box], nothing)
    assert lacks is not None
    assert lacks.mend == "sambench weights fetch mobile_sam"
    assert kind(box, AtHand(lambda _: True, ("lvis", "lvis"))) == "data"
    assert kind("efficientsam-table4/mobile_sam/lvis/box/miou", AtHand(lambda _: True, ("lvis", "lvis"))) is None
    assert kind("efficientsam-table5/mobile_sam/coco/ap", AtHand(lambda _: True, boxes=False)) == "boxes"
    assert kind("efficientsam-table4/sam_mae_ti/coco/box/miou", everything) == "model"
    assert kind("fastsam-table2/sam_vit_h/bsds500/ods", everything) == "measure"
    assert kind("slimsam-table1/mobile_sam/sa1b/click1/miou", AtHand(lambda _: True, ("coco", "val2017"))) == "data"
    assert kind("slimsam-table1/mobile_sam/sa1b/click1/miou", AtHand(lambda _: True, ("coco", "sa_1b_part"))) is None
    assert kind("slimsam-table1/mobile_sam/params", nothing) is None
    pair = missing(by_id["mobilesam-table7/mobile_sam/sa1b/pair100/miou"], AtHand(lambda model: model == "mobile_sam"))
    assert pair is not None
    assert pair.thing == "sam_vit_h"


def test_rules_are_checked():
    with pytest.raises(ValidationError, match="why"):
        Rule(metrics={"a": "b"}, measure="none")
    with pytest.raises(ValidationError, match="task"):
        Rule(metrics={"a": "b"})
    with pytest.raises(ValidationError):
        Rule.model_validate({"metrics": {"a": "b"}, "task": "box", "tsak": "box"})


def test_unknown_table():
    with pytest.raises(InputError, match="did you mean 'edgesam-table2'"):
        table("edgesam-tabel2")


def test_detectors_are_recognised():
    vitdet = detectors()["vitdet_h"]
    assert vitdet.made("coco_vitdet.json", "")
    assert vitdet.made("coco_instances_results_vitdet.json", "")
    assert not vitdet.made("yolox_nano_bbox_results.json", "")
    assert detectors()["grounding_dino"].made("coco_groundingdino.json", "")


def test_costs_are_those_of_the_model():
    assert cost("mobile_sam", "params_m") == pytest.approx(10.130092)
    assert cost("mobile_sam", "encoder_layer_macs_g") < cost("mobile_sam", "encoder_macs_g")


def test_they_are_found_in_an_installed_package(tmp_path):
    """A wheel carries results/papers as bench/papers/data, and there is no checkout around it."""
    root = Path(bench.__file__).parents[1]
    for package in ("adapters", "bench"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "results" / "papers", tmp_path / "bench" / "papers" / "data")
    code = "from bench.papers.files import papers_folder; from bench.papers.table import tables; "
    code += "print(papers_folder(), len(tables()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tmp_path / "bench" / "papers" / "data"), str(len(tables()))]
