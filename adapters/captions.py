"""Captions in Grounding DINO's form as BERT's tokens, and which phrase each token is of.

Source: IDEA-Research/GroundingDINO@856dde2, groundingdino/util/inference.py (preprocess_caption, predict_with_classes);
google-research/bert's uncased WordPiece vocabulary. tokenizers is an extra: pip install 'sambench[text]'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from adapters.errors import InputError
from adapters.prompts import Words

BEGIN, END, STOP = 101, 102, 1012
"""BERT's numbers for [CLS], [SEP] and the full stop: the network itself tells phrases apart by them."""

MARKS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": BEGIN, "[SEP]": END, ".": STOP, "?": 1029}
BETWEEN = -1

Vocabulary = dict[str, int]


class Caption(NamedTuple):
    """Tokens, and for each the index of its phrase, -1 between phrases."""

    tokens: list[int]
    owners: list[int]


class Captions:
    """Writes captions.

    Args:
        name: of the model, for errors.
        vocabulary: piece -> number.
        longest: so many tokens, marks included, are read of a caption.
    """

    def __init__(self, name: str, vocabulary: Vocabulary, longest: int) -> None:
        self.name, self.longest = name, longest
        self._tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        self._tokenizer.normalizer = normalizers.BertNormalizer()
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._tokenizer.decoder = decoders.WordPiece()

    def of(self, words: Words) -> Iterator[Caption]:
        """Yield captions that hold all phrases, in lower case, each ended by a full stop: "a dog. a cat.".

        What looks like a mark, such as [SEP], is text.

        Raises:
            InputError: for a phrase that is too long for a caption, or of which the tokenizer leaves nothing.
        """
        caption = Caption([BEGIN], [BETWEEN])
        for index, phrase in enumerate(words.phrases):
            pieces = self._pieces(index, phrase)
            if len(caption.tokens) + len(pieces) + 2 > self.longest:
                yield _ended(caption)
                caption = Caption([BEGIN], [BETWEEN])
            caption.tokens.extend([*pieces, STOP])
            caption.owners.extend([*[index] * len(pieces), BETWEEN])
        yield _ended(caption)

    def texts(self, tokens: Sequence[list[int]]) -> list[str]:
        """Return tokens as texts, marks included."""
        return list(self._tokenizer.decode_batch(list(tokens), skip_special_tokens=False))

    def _pieces(self, index: int, phrase: str) -> list[int]:
        pieces: list[int] = self._tokenizer.encode(phrase, add_special_tokens=False).ids
        most = self.longest - 3
        if not pieces:
            raise InputError(f"{self.name}: nothing in phrase {index} {phrase!r} can be read")
        if len(pieces) > most:
            told = f"phrase {index} has {len(pieces)} tokens, a caption holds {most}"
            raise InputError(f"{self.name}: {told}: separate phrases by full stops")
        return pieces


def read(file: Path, name: str) -> Vocabulary:
    """Return the vocabulary in a vocab.txt.

    Raises:
        InputError: where it isn't BERT's; it names the model.
    """
    try:
        vocabulary: Vocabulary = models.WordPiece.read_file(str(file))
    except Exception as error:  # tokenizers raises nothing more special
        raise InputError(f"{name}: {file} can't be read ({error})") from None
    if any(vocabulary.get(mark) != number for mark, number in MARKS.items()):
        raise InputError(f"{name}: {file} isn't BERT's uncased vocabulary")
    return vocabulary


def letters() -> Vocabulary:
    """Return a vocabulary of letters, pairs of letters and signs, for random weights; marks stand where BERT's do."""
    signs = [chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isupper()]
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    texts = ["".join(text) for length in (1, 2) for text in product(alphabet, repeat=length)]
    pieces = dict.fromkeys([*signs, *texts, *(f"##{text}" for text in texts)])
    others = (piece for piece in pieces if piece not in MARKS)
    return MARKS | {piece: 1100 + number for number, piece in enumerate(others)}


def _ended(caption: Caption) -> Caption:
    return Caption([*caption.tokens, END], [*caption.owners, BETWEEN])
