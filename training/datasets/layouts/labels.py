"""Which folder names mean good parts, which mean defects, and of which somebody has to be asked.

One table for all languages. Names are compared without case, without accents and separators in their way: `OK`, `Ok`,
`good parts`, `Good-Parts` and `GOOD_PARTS` are read alike, whichever form of Unicode they are written in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import Enum

GOOD = "good"


class Reading(Enum):
    """What a folder's name says about the parts in it."""

    GOOD = "good"
    DEFECT = "defect"
    UNDECIDED = "undecided"


def normal_form(name: str) -> str:
    """A name in lower case, letters without accents, words separated by one space. Non-Latin letters stay."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    letters = "".join(char for char in plain if not "\u0300" <= char <= "\u036f")
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", letters)).strip()


def _table(words: str) -> frozenset[str]:
    return frozenset(normal_form(word) for word in words.split(","))


GOOD_WORDS = _table(
    # English
    "good,good part,good parts,good sample,good samples,good image,good images,ok,okay,ok part,ok parts,ok front,"
    "normal,normals,pass,passed,pass parts,accept,accepted,acceptable,conforming,nominal,healthy,intact,"
    "no defect,no defects,nodefect,nodefects,defect free,defectfree,not defective,non defective,without defects,"
    "no anomaly,no anomalies,non anomalous,anomaly free,flawless,fault free,undamaged,"
    # German
    "gut,gute,gutteil,gutteile,gute teile,io,i o,in ordnung,fehlerfrei,ohne fehler,"
    # French, Spanish, Italian, Portuguese
    "bon,bons,bonne,bonnes,bonnes pieces,conforme,conformes,sans defaut,bueno,buenos,buena,buenas,piezas buenas,"
    "sin defecto,sin defectos,buono,buoni,buona,buone,pezzi buoni,senza difetti,bom,boa,boas,pecas boas,sem defeito,"
    # Dutch, Swedish, Danish, Norwegian, Finnish
    "goed,goede,goedgekeurd,godkand,godkanda,godkendt,godkjent,hyvaksytty,"
    # Polish, Czech, Slovak, Hungarian, Romanian, Turkish
    "dobre,dobry,dobra,v poradku,v poriadku,bez vad,bez wad,jo,megfelelo,bun,bune,iyi,saglam,kusursuz,"
    # Russian, Ukrainian
    "годен,годные,годная,норма,хороший,хорошие,без дефектов,добрии,"
    # Chinese, Japanese, Korean, Vietnamese
    "良品,正常,正常品,合格,合格品,良好,良,无缺陷,無缺陷,無欠陥,異常なし,정상,양품,합격,đạt"
)
# Words that say the opposite, alone or before a good word: not_ok, NOK, NiO.
BAD_WORDS = _table(
    "ng,nok,n ok,nio,n i o,ko,bad,reject,rejected,fail,failed,faulty,abnormal,anomaly,anomalous,defect,defects,"
    "defective,def,scrap,schlecht,ausschuss,fehler,fehlerhaft,mauvais,malo,cattivo,ruim,不良,不良品,缺陷,异常,異常,"
    "불량,брак"
)
_NEGATIONS = _table("not,no,non,nicht,un")
# Nobody can tell from these what the parts are.
_VAGUE = _table(
    "0,1,other,others,misc,unknown,unlabeled,unlabelled,unsorted,mixed,image,images,img,imgs,picture,pictures,data,"
    "all,new,todo,check,unsure,doubtful,maybe"
)
# A name that contains one of these as a word of its own, or begins with one of the long ones, may mean good parts.
_TELLING_WORDS = _table(
    "good,ok,okay,normal,pass,passed,gut,io,conform,conforme,free,clean,perfect,correct,healthy,golden,reference"
)
_TELLING_BEGINNINGS = tuple(_table("good,normal,gutteil,gute,nodefect,defectfree,良品,正常,合格,정상,양품"))


def reading_of(name: str, *, has_masks: bool, good: Collection[str] = (), defect: Collection[str] = ()) -> Reading:
    """What a folder's name says.

    Args:
        has_masks: whether ground-truth masks lie there for its images, which only defects have.
        good, defect: names that somebody said are good or defective parts, in any spelling.
    """
    form = normal_form(name)
    if form in {normal_form(other) for other in good}:
        return Reading.GOOD
    if form in {normal_form(other) for other in defect}:
        return Reading.DEFECT
    if form in GOOD_WORDS:
        # Good parts have no defects to mark: one of the two is wrong.
        return Reading.UNDECIDED if has_masks and form != GOOD else Reading.GOOD
    if has_masks or form in BAD_WORDS:
        return Reading.DEFECT
    return Reading.UNDECIDED if not form or form in _VAGUE or resembles_good(name) else Reading.DEFECT


def explicit_reading(name: str, good: Collection[str] = (), defect: Collection[str] = ()) -> Reading | None:
    """What a name says by a word of the table, or because somebody said so; None for any other name."""
    form = normal_form(name)
    if form in GOOD_WORDS or form in {normal_form(other) for other in good}:
        return Reading.DEFECT if form in {normal_form(other) for other in defect} else Reading.GOOD
    return Reading.DEFECT if form in BAD_WORDS or form in {normal_form(other) for other in defect} else None


def resembles_good(name: str) -> bool:
    """Whether a name contains words for good parts and nothing beside them denies it: ok2, good_old, gutteile-neu,
    GoodParts, no_defects_2. Not: not_ok2."""
    apart = re.sub(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])", " ", name)
    words = normal_form(apart).split()
    good = _good_words_in(words)
    beside = {word for index, word in enumerate(words) if index not in good}
    if (_NEGATIONS | BAD_WORDS) & beside:
        return False
    return bool(good or _TELLING_WORDS & beside) or normal_form(name).startswith(_TELLING_BEGINNINGS)


def _good_words_in(words: list[str]) -> set[int]:
    """Which words of a name are of a phrase for good parts, which may hold words that alone say the opposite."""
    positions: set[int] = set()
    for phrase in _PHRASES:
        for start in range(len(words) - len(phrase) + 1):
            if words[start : start + len(phrase)] == phrase:
                positions |= set(range(start, start + len(phrase)))
    return positions


# Without the short words of one language that are something else in others (bon, jo).
_PHRASES = [word.split() for word in sorted(GOOD_WORDS) if " " in word or len(word) >= 4 or not word.isascii()]
