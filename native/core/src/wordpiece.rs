//! Reads a WordPiece `tokenizer.json`, and gives what the tokenizers library gives for it, in a third of the time.
//!
//! The library does not know which kind of model a file holds until it has read it, so it reads the vocabulary three
//! times: as anything, as a JSON value, and as a vocabulary. Here it is read once, by the library's own WordPiece,
//! and the library reads the rest of the file with a vocabulary that has the added tokens alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{Model, Tokenizer};

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
}

/// The tokenizer, or None where the library has to read the whole file: it holds another model, or is wrong
/// in a way that the library tells better.
pub(crate) fn read(bytes: &[u8]) -> Option<Tokenizer> {
    let mut file: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(bytes).ok()?;
    let model = file.get("model")?.get();
    let kind: Kind = serde_json::from_str(model).ok()?;
    if kind.kind != "WordPiece" {
        return None;
    }
    let model: WordPiece = serde_json::from_str(model).ok()?;
    let added: Vec<AddedToken> = match file.get("added_tokens") {
        Some(added) => serde_json::from_str(added.get()).ok()?,
        None => Vec::new(),
    };
    // A token that the vocabulary lacks gets the next id after it, which needs the whole vocabulary.
    let vocabulary: Option<BTreeMap<&str, u32>> =
        added.iter().map(|token| Some((&*token.content, model.token_to_id(&token.content)?))).collect();
    let stand_in = json!({
        "type": "WordPiece",
        "unk_token": model.unk_token,
        "continuing_subword_prefix": model.continuing_subword_prefix,
        "max_input_chars_per_word": model.max_input_chars_per_word,
        "vocab": vocabulary?,
    });
    file.insert("model".to_owned(), to_raw_value(&stand_in).ok()?);
    let mut tokenizer = Tokenizer::from_bytes(serde_json::to_vec(&file).ok()?).ok()?;
    tokenizer.with_model(model);
    Some(tokenizer)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn file() -> Value {
        let token = |id: u32, content: &str, special: bool| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": !special, "special": special})
        };
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0},
            "padding": null,
            "added_tokens": [token(0, "[UNK]", true), token(1, "[CLS]", true), token(2, "[SEP]", true), token(6, "Zürich", false)],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                           "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100,
                      "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "re": 3, "##set": 4, "ticket": 5, "Zürich": 6}},
        })
    }

    fn both(file: &Value) -> (Option<Tokenizer>, Tokenizer) {
        let bytes = serde_json::to_vec(file).unwrap();
        (read(&bytes), Tokenizer::from_bytes(&bytes).unwrap())
    }

    #[test]
    fn gives_what_the_library_gives() {
        let (ours, library) = both(&file());
        let ours = ours.unwrap();
        assert_eq!(ours.to_string(true).unwrap(), library.to_string(true).unwrap());
        for text in ["reset ticket", "RESET the Zürich ticket", "zurich", "", "[SEP] re"] {
            let ids = |tokenizer: &Tokenizer| tokenizer.encode_fast(text, true).unwrap().get_ids().to_vec();
            assert_eq!(ids(&ours), ids(&library), "{text}");
        }
        assert_eq!(ours.get_vocab_size(true), library.get_vocab_size(true));
        assert_eq!(ours.id_to_token(4), library.id_to_token(4));
    }

    #[test]
    fn leaves_to_the_library_what_needs_it() {
        let mut beyond = file();
        beyond["added_tokens"][3]["content"] = json!("Basel");
        let (ours, library) = both(&beyond);
        assert!(ours.is_none());
        assert_eq!(library.token_to_id("Basel"), Some(7));

        let mut untyped = file();
        untyped["model"].as_object_mut().unwrap().remove("type");
        assert!(both(&untyped).0.is_none());

        let mut other = file();
        other["model"] = json!({"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"});
        assert!(both(&other).0.is_none());

        for bytes in [&b""[..], b"{}", b"[]", br#"{"model": {"type": "WordPiece"}}"#] {
            assert!(read(bytes).is_none());
        }
    }
}
