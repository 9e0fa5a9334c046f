"""Protocols are read strictly, identified by what they say, and told apart knob by knob."""

from __future__ import annotations

import itertools

import pytest

from adapters.errors import InputError
from bench.protocols import protocol, protocol_names
from bench.protocols.difference import difference, knobs
from bench.protocols.tasks import check_asked, expand_tasks, tasks_of

PRESETS = {"efficientvit", "edgesam", "efficientsam", "sam-paper", "samfast", "tinysam", "slimsam", "hq", "ritm-noc",
           "mobilesam-align", "words", "proposals-grid16", "proposals-grid32", "proposals-hierarchical",
           "proposals-objects", "proposals-objects-yolov8n", "mobilesamv2"}  # fmt: skip


def test_every_preset_is_there_and_names_its_source():
    assert set(protocol_names()) == PRESETS
    for name in PRESETS:
        rules = protocol(name)
        assert rules.name == name
        assert rules.source
        assert tasks_of(rules)
        assert not rules.as_published or rules.note


def test_the_default_is_the_peers():
    rules = protocol("efficientvit")
    assert rules.points.counts == (1, 3, 5)
    assert rules.annotations.crowd == "include"
    assert rules.masks.select == "score"


def test_the_identity_is_of_the_knobs_alone():
    rules = protocol("efficientvit")
    same = rules.model_copy(update={"name": "other", "source": "elsewhere", "note": "x"})
    other = rules.model_copy(update={"points": rules.points.model_copy(update={"counts": (1, 2)})})
    assert same.digest == rules.digest != other.digest
    assert rules.identity == f"efficientvit/1/{rules.digest[:12]}"
    digests = {protocol(name).digest for name in PRESETS}
    assert len(digests) == len(PRESETS)


@pytest.fixture
def own(tmp_path):
    """Return a function that writes a protocol file and reads it."""

    def read(text: str):
        (tmp_path / "mine.toml").write_text(text)
        return protocol(str(tmp_path / "mine.toml"))

    return read


def test_a_file_starts_from_a_preset_and_changes_two_lines(own):
    mine = own('from = "efficientvit"\n[masks]\nselect = "single"\n[annotations]\ncrowd = "exclude"\n')
    assert mine.name == "mine"
    assert "from efficientvit" in mine.source
    changed = {knob.key: (knob.first, knob.second) for knob in difference(protocol("efficientvit"), mine)}
    assert changed == {"masks.select": ("score", "single"), "annotations.crowd": ("include", "exclude")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[masks]\nselct = "score"', ["masks.selct", "no such knob", "did you mean select?"]),
        ('[masks]\nselect = "scores"', ["masks.select: 'scores' isn't one of score, single", "did you mean score?"]),
        ('[points]\nfirst = "center"', ["points.first: 'center'", "did you mean dt_center?"]),
        ("[points]\ncounts = 3", ["points.counts", "tuple", "got 3"]),
        ('[annotations]\nmin_area = "big"', ["annotations.min_area", "number", "'big'"]),
        ("avrage = 1", ["avrage", "did you mean average?"]),
        ('[masks]\nselect = "box_iou"', ["masks.select: box_iou", "clicks"]),
        ("as_published = true\nnote = ''", ["as_published", "which mistake"]),
        ("[masks", ["not TOML"]),
        ('name = "../evil"', ["name", "pattern", "'../evil'"]),
        ("[points]\ncounts = [1, 1]", ["points.counts", "once"]),
        ("[points]\ncounts = [-1]", ["points.counts"]),
        ("[everything]\nlimits = []", ["everything.limits"]),
        ("[everything]\nbox_nms = -3.0", ["everything.box_nms", "-3.0"]),
        ("[annotations]\nmin_area = inf", ["annotations.min_area", "finite"]),
        ('[average_precision]\nselect = "oracle"', ["average_precision.select: oracle needs true masks"]),
        ("boxes = 5", ["boxes: a section [boxes] is needed, got 5"]),
        ("[noc]\nthresholds = [87.5]\nmost = 20", ["noc.thresholds"]),
    ],
)
def test_a_bad_file_gets_a_line_that_names_file_key_and_nearest(own, text, said):
    with pytest.raises(InputError) as error:
        own(f'from = "efficientvit"\n{text}\n')
    line = str(error.value)
    assert "mine.toml" in line
    for words in said:
        assert words in line, line


@pytest.mark.parametrize(
    ("name", "said"),
    [("efficentvit", "did you mean 'efficientvit'"), ("nowhere.toml", "nowhere.toml is missing")],
)
def test_an_unknown_protocol_gets_a_line(name, said):
    with pytest.raises(InputError, match=said):
        protocol(name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('from = "edgsam"', "did you mean 'edgesam'"),
        ("from = 5", "unknown protocol '5'"),
        ("", "version|average|missing"),
    ],
)
def test_a_file_from_an_unknown_preset_or_from_none(own, text, said):
    with pytest.raises(InputError, match=said):
        own(text)


def test_a_protocol_without_a_task_is_none(own):
    knobs = 'average = "instance"\n[annotations]\ncrowd = "include"\nmin_area = 1\n[masks]\nselect = "score"\n'
    with pytest.raises(InputError, match="a section is needed that makes a task"):
        own(knobs + 'multi_click = "always_multi"\nfeedback = "none"\n')


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="can't be read as TOML"):
        protocol(str(tmp_path / "x.toml"))


def test_what_a_preset_says_of_itself_is_not_said_of_a_file_that_starts_from_it(own):
    mine = own('from = "edgesam"\n[annotations]\ntruth = "original"\n')
    assert not mine.as_published
    assert mine.note == ""


@pytest.mark.parametrize("pair", list(itertools.combinations(sorted(PRESETS), 2)))
def test_the_difference_is_every_knob_and_no_other(pair):
    """Taking the named values from the one into the other gives the one; none of them is the same in both."""
    first, second = (protocol(name) for name in pair)
    found = difference(first, second)
    assert all(knob.first != knob.second for knob in found)
    content, ours = second.model_dump(mode="json"), first.model_dump(mode="json")
    for knob in found:
        section, _, key = knob.key.partition(".")
        if key:
            content[section][key] = ours[section][key]
        else:
            content[section] = ours[section]
    mended = type(second).model_validate(content)
    assert knobs(mended) == knobs(first)
    assert mended.digest == first.digest


def test_no_difference_between_a_protocol_and_itself():
    assert difference(protocol("hq"), protocol("hq")) == []


def test_tasks_by_kind_and_by_name():
    rules = protocol("edgesam")
    assert expand_tasks(["click"], rules) == ["click1", "click2", "click3"]
    assert expand_tasks(["box_click2", "box"], rules) == ["box", "box_click2"]
    assert expand_tasks(["click5"], rules) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [(["boxes"], "did you mean 'box'"), (["click7"], "did you mean 'click"), (["noc"], "efficientvit doesn't have it")],
)
def test_a_task_that_no_protocol_has(asked, said):
    with pytest.raises(InputError, match=said):
        check_asked(asked, [protocol("efficientvit")])
