"""What a pipeline says of itself to tables and campaign pages: units and meanings, which columns come first, how a person grades.

Plain words only; nothing is computed, drawn or read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fitcore.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of one column.

    Parameters
    ----------
    unit : as astropy writes it ("arcsec", "deg"), or in words; empty for a pure number.
    description : a sentence.
    title : short, for the head of a column; the column's name where it is empty.
    latex : the same as LaTeX, without dollars; empty where there is no symbol.
    """

    unit: str = ""
    description: str = ""
    title: str = ""
    latex: str = ""


@dataclass(frozen=True, kw_only=True)
class Grade:
    """One answer that a person may give: the word that is kept, the key that gives it, and its text on the page."""

    word: str
    key: str
    title: str


PLAIN_GRADES = (
    Grade(word="success", key="s", title="Success"),
    Grade(word="failure", key="f", title="Failure"),
    Grade(word="unsure", key="u", title="Unsure"),
)


def no_blame(reasons: Sequence[str]) -> str:
    """No stage is named."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Board:
    """How a pipeline's results are shown together.

    Parameters
    ----------
    about : by name of a parameter, latent variable or measure; names by their last part serve all paths that end so.
    columns : of the campaign page, in order; those that no result has are left out.
    histograms : which of them are drawn, and looked through for outliers.
    grades : what a person may answer, each with a key of its own; j and k, the arrows, Enter and Backspace are the page's.
    pictures : titles of the parts of a strip of thumbnails, from left to right; empty where the pipeline draws none.
    blame : the stage that a verdict's reasons blame, or an empty text.

    Raises
    ------
    ConfigError : two grades have one key or word, or a key is not a single letter or digit, or is the page's.
    """

    about: Mapping[str, About] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    histograms: tuple[str, ...] = ()
    grades: tuple[Grade, ...] = PLAIN_GRADES
    pictures: tuple[str, ...] = ()
    blame: Callable[[Sequence[str]], str] = no_blame

    def __post_init__(self) -> None:
        keys, words = [grade.key for grade in self.grades], [grade.word for grade in self.grades]
        wrong = [key for key in keys if len(key) != 1 or not key.isalnum() or key.lower() in "jk" or keys.count(key) > 1]
        if wrong or len(set(words)) != len(words):
            raise ConfigError(
                f"the grades have the keys {keys} and the words {words}: each key must be one letter or digit other than j and k, and no "
                "key or word may be there twice. Choose others"
            )

    def about_column(self, name: str) -> About:
        """What is known of a column: by its name, else by the last part of it; nothing where neither is known."""
        return self.about.get(name) or self.about.get(name.rpartition(".")[2]) or About()


PLAIN = Board()
"""Of a pipeline that says nothing of itself."""
