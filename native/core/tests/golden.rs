//! The whole core against golden vectors from PyTorch, on a tiny bundle that `make` builds.

use std::path::PathBuf;
use std::sync::LazyLock;

use cachelora::bundle::Bundle;
use cachelora::encoder::fused::Kernel;
use cachelora::similarity::cosine_of_units;
use cachelora::{Backend, Embedder, Error, OnTooLong, Options};
use serde_json::Value;
use sha2::{Digest, Sha256};

static TINY: LazyLock<PathBuf> = LazyLock::new(|| {
    PathBuf::from(std::env::var_os("CACHELORA_TEST_TINY").expect(
        "CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-rust` sets it",
    ))
});

static EMBEDDER: LazyLock<Embedder> = LazyLock::new(|| open(&Options::default()));

struct Golden {
    texts: Vec<String>,
    token_ids: Vec<Vec<u32>>,
    tokens: Vec<usize>,
    vectors: Vec<Vec<f32>>,
    max_tokens: usize,
}

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
    let value: Value = serde_json::from_slice(&std::fs::read(TINY.join("golden.json")).unwrap()).unwrap();
    Golden {
        texts: serde_json::from_value(value["texts"].clone()).unwrap(),
        token_ids: serde_json::from_value(value["token_ids"].clone()).unwrap(),
        tokens: serde_json::from_value(value["tokens"].clone()).unwrap(),
        vectors: serde_json::from_value(value["vectors"].clone()).unwrap(),
        max_tokens: serde_json::from_value(value["max_tokens"].clone()).unwrap(),
    }
});

fn open(options: &Options) -> Embedder {
    Embedder::open(TINY.join("bundle"), options).unwrap()
}

fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; EMBEDDER.dimension()];
    EMBEDDER.embed(text, &mut vector).unwrap();
    vector
}

#[test]
fn vectors_are_pytorchs() {
    assert!(GOLDEN.texts.len() >= 200);
    for (text, expected) in GOLDEN.texts.iter().zip(&GOLDEN.vectors) {
        let cosine = cosine_of_units(&embed(text), expected);
        assert!(cosine >= 0.99999, "{cosine} for {text:?}");
    }
}

#[test]
fn token_counts_are_true_and_truncation_is_told() {
    let mut vector = vec![0.0; EMBEDDER.dimension()];
    let mut truncated = 0;
    for (text, &tokens) in GOLDEN.texts.iter().zip(&GOLDEN.tokens) {
        let info = EMBEDDER.embed(text, &mut vector).unwrap();
        assert_eq!(info.tokens, tokens, "{text:?}");
        assert_eq!(info.truncated, tokens > GOLDEN.max_tokens, "{text:?}");
        truncated += usize::from(info.truncated);
    }
    assert!(truncated > 0, "the golden texts hold one that is too long");
}

#[test]
fn a_vector_alone_is_its_vector_in_a_batch() {
    let dimension = EMBEDDER.dimension();
    for threads in [1, 3] {
        let embedder = open(&Options { threads, ..Options::default() });
        let mut together = vec![0.0; GOLDEN.texts.len() * dimension];
        let infos = embedder.embed_batch(&GOLDEN.texts, &mut together).unwrap();
        assert_eq!(infos.iter().map(|info| info.tokens).collect::<Vec<_>>(), GOLDEN.tokens);
        for (text, row) in GOLDEN.texts.iter().zip(together.chunks_exact(dimension)) {
            let alone = embed(text);
            let difference = alone.iter().zip(row).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 1e-6, "{difference} for {text:?} with {threads} threads");
        }
    }
}

#[test]
fn many_threads_share_one_embedder_and_get_the_same_bits() {
    let texts = &GOLDEN.texts[..40];
    let expected: Vec<Vec<f32>> = texts.iter().map(|text| embed(text)).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for (text, expected) in texts.iter().zip(&expected) {
                    assert_eq!(&embed(text), expected, "{text:?}");
                }
            });
        }
    });
}

#[test]
fn a_text_that_is_too_long_can_be_rejected() {
    let embedder = open(&Options { on_too_long: OnTooLong::Reject, ..Options::default() });
    let long = "password ".repeat(200);
    let mut vectors = vec![0.0; 2 * embedder.dimension()];
    match embedder.embed_batch(&["short", &long], &mut vectors).unwrap_err() {
        Error::InputTooLong { index: 1, tokens: 202, max_tokens } => {
            assert_eq!(max_tokens, GOLDEN.max_tokens)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_caller_may_cut_shorter_than_the_model() {
    let embedder = open(&Options { on_too_long: OnTooLong::Reject, ..Options::default() });
    let mut cut = vec![0.0; embedder.dimension()];
    let info = embedder.embed_within("the password of my account", 5, &mut cut).unwrap();
    assert_eq!((info.tokens, info.truncated), (7, true));
    assert_eq!(cut, embed("the password of"));
    let info = embedder.embed_within("the password of my account", 7, &mut cut).unwrap();
    assert_eq!((info.tokens, info.truncated), (7, false));
    assert_eq!(cut, embed("the password of my account"));
    // No limit is above the model's.
    let long = "password ".repeat(200);
    let info = embedder.embed_within(&long, usize::MAX, &mut cut).unwrap();
    assert_eq!((info.tokens, info.truncated), (202, true));
    assert_eq!(cut, embed(&long));
    for limit in [0, 1, 2] {
        let error = embedder.embed_within("password", limit, &mut cut).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
}

#[test]
fn tokens_are_those_of_the_original_tokenizer() {
    let tokenizer = EMBEDDER.tokenizer();
    for (text, expected) in GOLDEN.texts.iter().zip(&GOLDEN.token_ids) {
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(tokens.count, expected.len(), "{text:?}");
        if tokens.count <= GOLDEN.max_tokens {
            assert_eq!(&tokens.ids, expected, "{text:?}");
        }
        let cut = tokenizer.encode_within(text, 3).unwrap();
        assert_eq!(cut.ids.first(), expected.first());
        assert_eq!(cut.ids.last(), expected.last());
        assert_eq!(cut.ids.len(), expected.len().min(3));
    }
    assert_eq!(tokenizer.token(2).as_deref(), Some("[CLS]"));
    assert_eq!(tokenizer.token(u32::MAX), None);
}

#[test]
fn an_output_of_another_size_is_refused() {
    let mut vector = vec![0.0; EMBEDDER.dimension() - 1];
    assert!(matches!(EMBEDDER.embed("a", &mut vector), Err(Error::InvalidArgument(_))));
    assert!(matches!(EMBEDDER.embed_batch(&["a", "b"], &mut vector), Err(Error::InvalidArgument(_))));
    assert!(EMBEDDER.embed_batch::<&str>(&[], &mut []).unwrap().is_empty());
}

#[test]
fn thresholds_come_from_the_bundle() {
    assert_eq!(EMBEDDER.threshold("all", 0.05).unwrap(), 0.875);
    assert!(matches!(EMBEDDER.threshold("all", 0.01), Err(Error::NotCalibrated(_))));
    assert!(matches!(EMBEDDER.threshold("sports", 0.05), Err(Error::NotCalibrated(_))));
}

#[test]
fn another_library_can_not_be_loaded_once_one_is() {
    let _open = &*EMBEDDER;
    let options =
        Options { onnxruntime_path: Some("/nowhere/libonnxruntime.so".into()), ..Options::default() };
    let Err(error) = Embedder::open(TINY.join("bundle"), &options) else { panic!("it opened") };
    assert!(error.to_string().contains("already uses"), "{error}");
    let same =
        Options { onnxruntime_path: Some(EMBEDDER.library().unwrap().path.clone()), ..Options::default() };
    assert!(Embedder::open(TINY.join("bundle"), &same).is_ok());
}

/// The bundle with int8 weights: the fused encoder is its default.
fn open_int8(options: &Options) -> Embedder {
    Embedder::open(TINY.join("bundle-int8"), options).unwrap()
}

#[test]
fn int8_vectors_are_close_to_pytorchs() {
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        let embedder = open_int8(&Options { kernel: Some(kernel), ..Options::default() });
        assert_eq!(embedder.backend(), "fused");
        assert!(embedder.library().is_none());
        let mut vector = vec![0.0; embedder.dimension()];
        let mut sum = 0.0;
        for (text, expected) in GOLDEN.texts.iter().zip(&GOLDEN.vectors) {
            embedder.embed(text, &mut vector).unwrap();
            let cosine = cosine_of_units(&vector, expected);
            assert!(cosine >= 0.99, "{kernel}: {cosine} for {text:?}");
            sum += cosine;
        }
        let mean = sum / GOLDEN.texts.len() as f32;
        assert!(mean >= 0.998, "{kernel}: {mean}");
    }
}

#[test]
fn int8_vectors_have_the_same_bits_in_any_batch_and_from_any_number_of_threads() {
    let alone = open_int8(&Options::default());
    let dimension = alone.dimension();
    let mut expected = vec![0.0; GOLDEN.texts.len() * dimension];
    for (text, row) in GOLDEN.texts.iter().zip(expected.chunks_exact_mut(dimension)) {
        alone.embed(text, row).unwrap();
    }
    for threads in [1, 2, 5] {
        let embedder = open_int8(&Options { threads, ..Options::default() });
        let mut together = vec![0.0; expected.len()];
        embedder.embed_batch(&GOLDEN.texts, &mut together).unwrap();
        assert!(together.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
    }
}

#[test]
fn the_backend_can_be_chosen() {
    let graph = open_int8(&Options { backend: Backend::OnnxRuntime, ..Options::default() });
    assert_eq!(graph.backend(), "onnxruntime");
    assert_eq!(EMBEDDER.backend(), "onnxruntime", "without int8 weights");
    let options = Options { backend: Backend::Fused, ..Options::default() };
    let Err(error) = Embedder::open(TINY.join("bundle"), &options) else { panic!("it opened") };
    assert!(error.to_string().contains("'encoder.int8.safetensors' is missing"), "{error}");
}

/// A cache that one encoder filled is never asked by the other: at the border of a threshold they disagree.
#[test]
fn two_encoders_of_one_bundle_have_two_namespaces() {
    let of = |backend| open_int8(&Options { backend, ..Options::default() }).fingerprint().to_owned();
    let (usual, graph) = (of(Backend::Auto), of(Backend::OnnxRuntime));
    let manifest = open_int8(&Options::default()).manifest().fingerprint.clone();
    assert_eq!(usual, manifest, "what opens when nothing is asked for");
    assert_eq!(of(Backend::Fused), usual);
    let named = Sha256::digest(format!("{manifest}\nbackend=onnxruntime\n"));
    assert_eq!(graph, named.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    // Where the graph is all that there is, it is the usual one, asked for or not.
    let asked = open(&Options { backend: Backend::OnnxRuntime, ..Options::default() });
    assert_eq!(asked.fingerprint(), EMBEDDER.manifest().fingerprint);
    assert_eq!(EMBEDDER.fingerprint(), EMBEDDER.manifest().fingerprint);
}

#[test]
fn kernels_share_a_namespace() {
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        let embedder = open_int8(&Options { kernel: Some(kernel), ..Options::default() });
        assert_eq!(embedder.fingerprint(), embedder.manifest().fingerprint, "{kernel}");
    }
}

#[test]
fn a_file_is_verified_where_it_is_read() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(TINY.join("bundle-int8")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let open = |backend| Embedder::open(copy.path(), &Options { backend, ..Options::default() });
    let spoil = |name: &str| {
        let mut bytes = std::fs::read(copy.path().join(name)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(copy.path().join(name), bytes).unwrap();
    };
    spoil("model.onnx");
    assert!(open(Backend::Auto).is_ok(), "the fused encoder does not read it");
    let corrupt = |backend, name: &str| match open(backend) {
        Err(Error::BundleCorrupt { path, .. }) => assert!(path.ends_with(name), "{}", path.display()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened with a spoilt {name}"),
    };
    corrupt(Backend::OnnxRuntime, "model.onnx");
    spoil("encoder.int8.safetensors");
    corrupt(Backend::Auto, "encoder.int8.safetensors");
    spoil("tokenizer.json");
    corrupt(Backend::OnnxRuntime, "tokenizer.json");
    assert!(matches!(Bundle::verified(copy.path()), Err(Error::BundleCorrupt { .. })));
}

#[test]
fn texts_that_say_nothing_have_vectors_too() {
    let embedder = open_int8(&Options::default());
    let mut vector = vec![0.0; embedder.dimension()];
    let most = embedder.max_tokens();
    let words = |count: usize| "password ".repeat(count);
    for (text, tokens) in [
        (String::new(), 2),
        (" \n\t".to_owned(), 2),
        ("a".to_owned(), 3),
        ("\0".to_owned(), 2),
        ("a\0b".to_owned(), 4),
        ("\u{301}\u{301}".to_owned(), 2),
        ("\u{65}\u{301}".to_owned(), 3),
        ("\u{1f64f}\u{1f3fd} \u{1f469}\u{200d}\u{1f680}".to_owned(), 4),
        ("日本語".to_owned(), 5),
        ("\u{f8ff} \u{f8ff}\u{f8ff}".to_owned(), 2),
        (words(most - 2), most),
        (words(most - 1), most + 1),
    ] {
        let info = embedder.embed(&text, &mut vector).unwrap();
        assert_eq!(info.tokens, tokens, "{text:?}");
        assert_eq!(info.truncated, tokens > most, "{text:?}");
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-4, "{text:?}");
    }
    let unknown = embedder.tokenizer().encode("\u{1f64f}\u{1f3fd} \u{1f469}\u{200d}\u{1f680}").unwrap().ids;
    let unknown: Vec<_> = unknown.into_iter().map(|id| embedder.tokenizer().token(id).unwrap()).collect();
    assert_eq!(unknown, ["[CLS]", "[UNK]", "[UNK]", "[SEP]"], "one of the texts has unknown tokens only");
    let mut cut = vector.clone();
    embedder.embed(&words(most - 2), &mut cut).unwrap();
    assert_eq!(cut, vector, "what was cut off does not count");
}

/// Linear in the text, so a test that takes minutes has found a text that is not.
#[test]
fn a_megabyte_of_text_is_cut() {
    const MEGABYTE: usize = 1 << 20;
    let embedder = open_int8(&Options::default());
    let mut vector = vec![0.0; embedder.dimension()];
    for (piece, truncated) in [("password ", true), ("x", false), (",", true), ("\u{1f64f}\u{1f3fd}", false)]
    {
        let text = piece.repeat(MEGABYTE / piece.len());
        let begin = std::time::Instant::now();
        let info = embedder.embed(&text, &mut vector).unwrap();
        assert_eq!(info.truncated, truncated, "{piece:?}: {info:?}");
        assert!(begin.elapsed().as_secs() < 60, "{piece:?} took {:?}", begin.elapsed());
    }
}
