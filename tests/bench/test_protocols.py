"""Protocols are read strictly and identified by what they say."""

import pytest
from pydantic import ValidationError

from adapters.errors import InputError
from bench.protocols import Protocol, protocol, protocol_names


def test_every_protocol_is_valid_and_named():
    for name in protocol_names():
        assert protocol(name).name == name
        assert protocol(name).source


def test_the_default_is_the_peers():
    rules = protocol("efficientvit")
    assert rules.points.counts == (1, 3, 5)
    assert rules.annotations.crowd == "include"
    assert rules.masks.select == "score"


def test_the_digest_is_of_the_knobs_alone():
    rules = protocol("efficientvit")
    same = rules.model_copy(update={"name": "other", "source": "elsewhere"})
    other = rules.model_copy(update={"points": rules.points.model_copy(update={"counts": (1, 2)})})
    assert same.digest == rules.digest != other.digest


def test_an_unknown_knob_or_value_is_refused():
    content = protocol("efficientvit").model_dump()
    with pytest.raises(ValidationError, match="colour"):
        Protocol(**{**content, "colour": "red"})
    with pytest.raises(ValidationError, match="select"):
        Protocol(**{**content, "masks": {**content["masks"], "select": "largest"}})


def test_an_unknown_protocol_gets_the_nearest():
    with pytest.raises(InputError, match="did you mean 'efficientvit'"):
        protocol("efficentvit")
