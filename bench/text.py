"""Words that compress as a chat's words do, the same ones in every run."""

from functools import cache
from itertools import accumulate
from random import Random
from string import ascii_letters, digits

_COMMON_WORDS = """
the of and to a in is that for it as was with be by on not he his but at are this have from or had an they
which one you were all her she there would their we him been has when who will no more if out so up said what its about
than into them can only other time new some could these two may first then do any like my now over such our man me even
most made after also did many off before must well back through years where much your way down should because long each
just state those people too mr how little good world make very year still see own work men day get here old between both
life being under three never know same last another while us might great go come since against right came take used
himself few house use during without again place american around however home small found mrs thought went say part once
general high upon school every don't does got united left number course war until always away something fact water less
public put think almost hand enough far took head yet government system set better nothing night end why called didn't
eyes find going look asked later point knew next city business case program give group toward days young let room word
social present several order national possible rather second face per among form important often things looked early
white large big need four within felt children along saw best church ever least power development light thing seemed
family interest want members mind area country others turned although open service certain kind problem began different
door thus help sense means whole matter report customer invoice account payment delivery address ticket refund password
release server update error browser project meeting schedule budget contract supplier warehouse shipment tracking
"""
_LETTERS = ascii_letters + digits + "  "
_ENDINGS = ("s", "ed", "ing", "ly", "er", "ment")


class Writer:
    """Writes prose: common words often, many others seldom, sentences with their marks."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def prose(self, length: int) -> str:
        """Exactly so many characters."""
        words, shares = _vocabulary()
        text = ""
        while len(text) < length:
            sentence = " ".join(self._random.choices(words, cum_weights=shares, k=self._random.randint(5, 18)))
            number = f" {self._random.randint(2, 9999)}" if self._random.random() < 0.3 else ""
            text += f"{sentence.capitalize()}{number}. "
        return text[: length - 1] + "."

    def letters(self, length: int) -> str:
        """Exactly so many characters, which hardly compress."""
        return "".join(self._random.choices(_LETTERS, k=length))


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    """Words, and the share of all text that each and those before it have."""
    common = _COMMON_WORDS.split()
    rare = [word + ending for ending in _ENDINGS for word in common if len(word) > 3]
    Random(0).shuffle(rare)
    words = common + rare
    # Zipf's law, as in any language: the n-th word has the n-th part of the first one's share.
    return words, list(accumulate(1 / (place + 3) for place in range(len(words))))
