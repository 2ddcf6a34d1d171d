//! Where a long text can be cut without changing its tokens, so that a megabyte needs the memory of a few kilobytes.
//!
//! BERT's tokenizers look at one word at a time: white space ends a word, and punctuation and ideographs are words of their
//! own. So the tokens of a text are those of its pieces, one after the other, wherever it is cut beside one of these:
//!
//! ```text
//! how can i reset,my|密|码 please        each | and each space or comma ends a piece that stands for itself
//! ```
//!
//! That holds for the characters below and this kind of tokenizer alone; for any other, a text stays whole.

use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// Bytes of a piece; a longer word stays whole.
pub(crate) const SIZE: usize = 16 << 10;

/// Characters behind which a word has ended. Others end words too, but not before every normalizer has seen them: form
/// feeds, for example, are taken out before words are told apart.
const ENDS: &[char] = &[' ', '\n', '\r', '\t', ',', '.', ';', ':', '!', '?'];

/// How texts can be cut for one tokenizer.
#[derive(Debug)]
pub(crate) struct Pieces {
    ends: Vec<char>,
    ideographs: bool,
}

impl Pieces {
    /// None if the tokenizer's tokens may depend on more than one word.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else {
            return None;
        };
        let (ModelWrapper::WordPiece(_), Some(PreTokenizerWrapper::BertPreTokenizer(_))) =
            (tokenizer.get_model(), tokenizer.get_pre_tokenizer())
        else {
            return None;
        };
        let added = tokenizer.get_added_tokens_decoder();
        // Such a token is looked for before words are: a cut must not go through one, nor give it a neighbour.
        if added.values().any(|token| !token.content.is_ascii() || token.single_word) {
            return None;
        }
        let used = |end: &char| added.values().any(|token| token.content.contains(*end));
        let ends: Vec<char> = ENDS.iter().copied().filter(|end| !used(end)).collect();
        Some(Self { ends, ideographs: normalizer.handle_chinese_chars })
    }

    /// The pieces of a text, in order: of up to `size` bytes where the text allows it.
    pub(crate) fn split<'t>(&self, text: &'t str, size: usize) -> impl Iterator<Item = &'t str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (piece, after) = rest.split_at(self.cut(rest, size));
            rest = after;
            Some(piece)
        })
    }

    /// The end of the first piece, in bytes: above 0.
    fn cut(&self, text: &str, size: usize) -> usize {
        if text.len() <= size {
            return text.len();
        }
        let (near, far) = text.split_at(text.floor_char_boundary(size));
        let last = near.char_indices().rev().find_map(|(place, character)| self.boundary(place, character));
        let first =
            || far.char_indices().find_map(|(place, character)| self.boundary(near.len() + place, character));
        last.or_else(first).unwrap_or(text.len())
    }

    /// Where a text can be cut beside its character at a place, if it can.
    fn boundary(&self, place: usize, character: char) -> Option<usize> {
        if self.ends.contains(&character) {
            Some(place + character.len_utf8())
        } else {
            (place > 0 && self.ideographs && is_ideograph(character)).then_some(place)
        }
    }
}

/// Whether BERT's normalizer puts spaces around a character: the largest two blocks of unified ideographs are enough here.
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn tokenizer(ideographs: bool, strip_accents: Value, added: &str, single_word: bool) -> Tokenizer {
        let words = [
            "[UNK]", "re", "##set", "##s", "pass", "word", ",", "!", ".", "密", "码", "e", "##e", "a", "##a",
            "σ", "s",
        ];
        let vocabulary: serde_json::Map<String, Value> = words
            .iter()
            .chain([&added])
            .enumerate()
            .map(|(id, word)| ((*word).to_owned(), id.into()))
            .collect();
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "decoder": null, "post_processor": null,
            "added_tokens": [{"id": vocabulary[added], "content": added, "single_word": single_word, "lstrip": true,
                              "rstrip": true, "normalized": false, "special": true}],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": ideographs,
                           "strip_accents": strip_accents, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 20, "vocab": vocabulary},
        });
        Tokenizer::from_bytes(serde_json::to_vec(&file).unwrap()).unwrap()
    }

    fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec()
    }

    /// What a normalizer or a word could trip over, more often than chance would have it.
    fn texts() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            prop::sample::select(vec![
                "resets",
                "Password",
                " ",
                "  ",
                "\n",
                "\u{c}",
                "\u{85}",
                "\u{a0}",
                "\u{2028}",
                ",",
                "!",
                "...",
                "é",
                "e\u{301}",
                "\u{301}",
                "密",
                "码",
                "[SEP]",
                " [SEP] ",
                "[SE",
                "P]",
                "Σ",
                "ΑΣ",
                "\u{fffd}",
                "\0",
                "\u{200d}",
                "🙏🏽",
                "ﬁ",
                "가",
                "\u{1100}\u{1161}",
                "aaaaaaaaaaaaaaaaaaaaaaaaa",
            ])
            .prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn pieces_have_the_tokens_of_the_whole(text in texts(), size in 1_usize..24, ideographs: bool) {
            for strip_accents in [json!(null), json!(false)] {
                let tokenizer = tokenizer(ideographs, strip_accents, "[SEP]", false);
                let pieces = Pieces::of(&tokenizer).unwrap();
                let found: Vec<&str> = pieces.split(&text, size).collect();
                prop_assert_eq!(found.concat(), text.as_str());
                let each: Vec<u32> = found.iter().flat_map(|piece| ids(&tokenizer, piece)).collect();
                prop_assert_eq!(each, ids(&tokenizer, &text), "{:?}", found);
            }
        }
    }

    #[test]
    fn a_piece_ends_beside_the_last_end_that_fits() {
        let pieces = Pieces::of(&tokenizer(true, json!(null), "[SEP]", false)).unwrap();
        let split = |text, size| pieces.split(text, size).collect::<Vec<_>>();
        assert_eq!(split("reset my password", 10), ["reset my ", "password"]);
        assert_eq!(split("reset,my password", 6), ["reset,", "my ", "password"]);
        assert_eq!(split("密码密码", 4), ["密", "码", "密", "码"]);
        assert_eq!(split("password", 3), ["password"], "a word stays whole");
        assert_eq!(split("", 3), [""; 0]);
    }

    #[test]
    fn an_added_token_is_never_cut() {
        let comma = Pieces::of(&tokenizer(true, json!(null), "<a,b>", false)).unwrap();
        assert_eq!(comma.split("x<a,b>y z", 4).collect::<Vec<_>>(), ["x<a,b>y ", "z"]);
        let spaced = Pieces::of(&tokenizer(true, json!(null), "<a b>", false)).unwrap();
        assert_eq!(spaced.split("x<a b>y,z", 4).collect::<Vec<_>>(), ["x<a b>y,", "z"]);
        assert!(Pieces::of(&tokenizer(true, json!(null), "<a密>", false)).is_none());
        assert!(
            Pieces::of(&tokenizer(true, json!(null), "sep", true)).is_none(),
            "it looks at its neighbours"
        );
    }

    #[test]
    fn without_spaces_around_ideographs_they_are_no_ends() {
        let pieces = Pieces::of(&tokenizer(false, json!(null), "[SEP]", false)).unwrap();
        assert_eq!(pieces.split("密码密码", 4).collect::<Vec<_>>(), ["密码密码"]);
    }
}
