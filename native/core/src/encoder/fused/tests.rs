use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;

use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::similarity::cosine_of_units;

/// The system's allocator, counting what each thread asks for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reproducible numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn float(&mut self, least: f32, most: f32) -> f32 {
        least + (most - least) * (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}

/// What stands in a weight file, to be spoilt before it is written.
struct Sample {
    directory: TempDir,
    config: Value,
    tensors: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Sample {
    fn new(hidden: usize, heads: usize, wide: usize, pooling: &str) -> Self {
        let (layers, vocabulary, positions) = (2, 97, 512);
        let config = json!({
            "layout": 1, "model_type": "bert", "activation": "gelu", "layers": layers, "hidden_size": hidden,
            "heads": heads, "intermediate_size": wide, "vocabulary": vocabulary, "positions": positions,
            "epsilon": 1e-12, "pooling": pooling,
        });
        let mut sample = Self { directory: tempfile::tempdir().unwrap(), config, tensors: HashMap::new() };
        let numbers = &mut Numbers(42);
        sample.int8("embeddings.words", &[vocabulary, hidden], numbers);
        sample.floats("embeddings.words.scale", &[vocabulary], 0.005, 0.01, numbers);
        sample.floats("embeddings.positions", &[positions, hidden], -0.3, 0.3, numbers);
        sample.norm("embeddings.norm", hidden, numbers);
        for layer in 0..layers {
            let name = |part: &str| format!("layers.{layer}.{part}");
            sample.matrix(&name("qkv"), hidden, 3 * hidden, numbers);
            sample.floats(&name("qkv.smooth"), &[hidden], 0.5, 2.0, numbers);
            sample.matrix(&name("output"), hidden, hidden, numbers);
            sample.norm(&name("attention_norm"), hidden, numbers);
            sample.matrix(&name("widen"), hidden, wide, numbers);
            sample.matrix(&name("narrow"), wide, hidden, numbers);
            sample.norm(&name("norm"), hidden, numbers);
        }
        sample
    }

    fn small() -> Self {
        Self::new(48, 2, 80, "mean")
    }

    fn matrix(&mut self, name: &str, inputs: usize, outputs: usize, numbers: &mut Numbers) {
        self.int8(&format!("{name}.weight"), &[outputs / 16, inputs / 4, 16, 4], numbers);
        let scale = 2.0 / 127.0 / (inputs as f32).sqrt();
        self.floats(&format!("{name}.scale"), &[outputs], scale / 2.0, scale, numbers);
        self.floats(&format!("{name}.bias"), &[outputs], -0.2, 0.2, numbers);
    }

    fn norm(&mut self, name: &str, columns: usize, numbers: &mut Numbers) {
        self.floats(&format!("{name}.weight"), &[columns], 0.5, 1.5, numbers);
        self.floats(&format!("{name}.bias"), &[columns], -0.2, 0.2, numbers);
    }

    fn int8(&mut self, name: &str, shape: &[usize], numbers: &mut Numbers) {
        let bytes = (0..shape.iter().product()).map(|_| ((numbers.next() >> 33) % 255) as i8 as u8);
        let bytes = bytes.map(|byte| if byte == 0x80 { 0 } else { byte }).collect();
        self.tensors.insert(name.to_owned(), (Dtype::I8, shape.to_vec(), bytes));
    }

    fn floats(&mut self, name: &str, shape: &[usize], least: f32, most: f32, numbers: &mut Numbers) {
        let values = (0..shape.iter().product()).flat_map(|_| numbers.float(least, most).to_le_bytes());
        self.tensors.insert(name.to_owned(), (Dtype::F32, shape.to_vec(), values.collect()));
    }

    fn write(&self) -> PathBuf {
        let path = self.directory.path().join("encoder.int8.safetensors");
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let metadata = HashMap::from([("cachelora_encoder".to_owned(), self.config.to_string())]);
        serialize_to_file(views, Some(metadata), &path).unwrap();
        path
    }

    fn open(&self, kernel: Kernel) -> FusedEncoder {
        FusedEncoder::open(&self.write(), Some(kernel)).unwrap()
    }

    /// Why the file is refused.
    fn refusal(&self) -> String {
        match FusedEncoder::open(&self.write(), None) {
            Err(Error::BundleInvalid { path, problem }) => {
                assert!(path.ends_with("encoder.int8.safetensors"));
                problem
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("the file was accepted: {}", self.config),
        }
    }
}

fn kernels() -> impl Iterator<Item = Kernel> {
    Kernel::ALL.into_iter().filter(|kernel| kernel.is_available())
}

fn text(length: usize, seed: u64) -> Vec<u32> {
    let mut numbers = Numbers(seed * 7 + 1);
    (0..length).map(|_| (numbers.next() % 97) as u32).collect()
}

fn encode(encoder: &FusedEncoder, texts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let mut batch = TokenBatch::new();
    for ids in texts {
        batch.push(ids);
    }
    let mut vectors = vec![0.0; texts.len() * encoder.dimension()];
    encoder.encode(&batch, &mut vectors).unwrap();
    vectors.chunks_exact(encoder.dimension()).map(<[f32]>::to_vec).collect()
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn a_text_has_the_same_bits_alone_and_in_any_batch(
        lengths in prop::collection::vec(prop_oneof![1..20_usize, 1..90_usize], 1..9),
        seed in 1..1000_u64,
    ) {
        let sample = Sample::small();
        let texts: Vec<_> = lengths.iter().zip(seed..).map(|(&length, seed)| text(length, seed)).collect();
        for kernel in kernels() {
            let encoder = sample.open(kernel);
            let together = encode(&encoder, &texts);
            for (ids, vector) in texts.iter().zip(&together) {
                let alone = encode(&encoder, std::slice::from_ref(ids));
                prop_assert_eq!(bits(&alone[0]), bits(vector), "{}, {} tokens", kernel, ids.len());
            }
        }
    }

    #[test]
    fn a_damaged_header_is_refused_without_a_panic(place in 0..3000_usize, value: u8) {
        let sample = Sample::small();
        let path = sample.write();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[place] = value;
        std::fs::write(&path, bytes).unwrap();
        // Some damage is harmless, such as another number in the configuration's spelling.
        if let Ok(encoder) = FusedEncoder::open(&path, None) {
            let mut vector = vec![0.0; encoder.dimension()];
            let mut batch = TokenBatch::new();
            batch.push(&[1, 2, 3]);
            let _ = encoder.encode(&batch, &mut vector);
        }
    }
}

#[test]
fn many_threads_get_the_same_bits() {
    let sample = Sample::small();
    for kernel in kernels() {
        let encoder = sample.open(kernel);
        let texts: Vec<_> = (1..30).map(|seed| text(3 * seed as usize, seed)).collect();
        let expected = encode(&encoder, &texts);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for (ids, expected) in texts.iter().zip(&expected) {
                        assert_eq!(bits(&encode(&encoder, std::slice::from_ref(ids))[0]), bits(expected));
                    }
                });
            }
        });
    }
}

#[test]
fn kernels_agree() {
    for (hidden, heads, wide, pooling) in [(48, 2, 80, "mean"), (64, 4, 256, "cls"), (96, 12, 112, "mean")] {
        let sample = Sample::new(hidden, heads, wide, pooling);
        let texts: Vec<_> = [1, 2, 3, 5, 15, 16, 17, 33, 64, 65, 127, 512]
            .into_iter()
            .map(|length| text(length, length as u64))
            .collect();
        let expected = encode(&sample.open(Kernel::Portable), &texts);
        for kernel in kernels() {
            for (vector, expected) in encode(&sample.open(kernel), &texts).iter().zip(&expected) {
                let cosine = cosine_of_units(vector, expected);
                assert!(cosine >= 0.99999, "{kernel}: {cosine}");
            }
        }
    }
}

#[test]
fn texts_differ() {
    let vectors = encode(&Sample::small().open(Kernel::detect()), &[text(9, 1), text(9, 2), text(30, 3)]);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let cosine = cosine_of_units(&vectors[a], &vectors[b]);
        assert!(cosine < 0.999, "{cosine}");
    }
}

#[test]
fn the_steady_state_allocates_nothing() {
    let encoder = Sample::small().open(Kernel::detect());
    let mut batch = TokenBatch::new();
    let mut vectors = vec![0.0; 5 * encoder.dimension()];
    let mut run = |lengths: [usize; 5]| {
        batch.clear();
        for length in lengths {
            batch.push(&[1; 512][..length]);
        }
        let before = ALLOCATIONS.get();
        encoder.encode(&batch, &mut vectors).unwrap();
        ALLOCATIONS.get() - before
    };
    assert!(run([512, 200, 56, 1, 9]) > 0, "the first call allocates its scratch memory");
    assert_eq!(run([512, 200, 56, 1, 9]), 0);
    assert_eq!(run([1, 16, 17, 64, 128]), 0);
}

#[test]
fn scratch_memory_is_bounded() {
    let encoder = Sample::small().open(Kernel::detect());
    let texts: Vec<_> = (0..40).map(|seed| text(100, seed + 1)).collect();
    encode(&encoder, &texts);
    assert_eq!(encoder.lent.len(), 1, "one caller, one loan");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| encode(&encoder, &texts));
        }
    });
    assert!(encoder.lent.len() <= encoder.lent.capacity());
}

#[test]
fn sequences_that_can_not_be_are_refused() {
    let encoder = Sample::small().open(Kernel::detect());
    let mut vectors = vec![0.0; 2 * encoder.dimension()];
    for (wrong, expected) in [
        (vec![], "sequence 1 has 0 tokens, 1 to 512"),
        (vec![1; 513], "sequence 1 has 513 tokens"),
        (vec![1, 97], "sequence 1 has token 97, the model knows 97"),
        (vec![u32::MAX], "has token 4294967295"),
    ] {
        let mut batch = TokenBatch::new();
        batch.push(&[1, 2]);
        batch.push(&wrong);
        let error = encoder.encode(&batch, &mut vectors).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    encoder.encode(&TokenBatch::new(), &mut []).unwrap();
}

#[test]
fn files_that_can_not_be_are_refused() {
    for (key, value, expected) in [
        ("layout", json!(2), "layout: 1 was expected, found 2"),
        ("model_type", json!("distilbert"), "other models run through ONNX Runtime"),
        ("activation", json!("relu"), "bert with gelu was expected"),
        ("layers", json!(0), "layers: 1 to 256"),
        ("layers", json!(3), "tensor layers.2.qkv.weight is missing"),
        ("hidden_size", json!(40), "multiples of 16"),
        ("hidden_size", json!(u64::MAX), "hidden_size: 16 to 8192"),
        ("hidden_size", json!(64), "[97, 64] was expected, found I8 [97, 48]"),
        ("heads", json!(0), "heads: 1 to 1024"),
        ("heads", json!(4), "a multiple of 8 was expected, found 48 / 4"),
        ("positions", json!(511), "tensor embeddings.positions"),
        ("epsilon", json!(0.0), "epsilon"),
        ("pooling", json!("max"), "unknown variant `max`"),
        ("vocabulary", json!(-1), "invalid value"),
    ] {
        let mut sample = Sample::small();
        sample.config[key] = value;
        let problem = sample.refusal();
        assert!(problem.contains(expected), "{key}: {problem}");
    }
    let spoil = |name: &str, change: fn(&mut (Dtype, Vec<usize>, Vec<u8>))| {
        let mut sample = Sample::small();
        change(sample.tensors.get_mut(name).unwrap());
        sample.refusal()
    };
    let nan =
        |tensor: &mut (Dtype, Vec<usize>, Vec<u8>)| tensor.2[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(spoil("layers.0.qkv.scale", nan).contains("layers.0.qkv.scale: element 1 is NaN"));
    assert!(spoil("layers.1.qkv.smooth", nan).contains("layers.1.qkv.smooth: element 1 is NaN"));
    let transposed = |tensor: &mut (Dtype, Vec<usize>, Vec<u8>)| tensor.1.swap(0, 1);
    assert!(spoil("layers.1.widen.weight", transposed).contains("layers.1.widen.weight: I8 [5, 12, 16, 4]"));
    let lowest = |tensor: &mut (Dtype, Vec<usize>, Vec<u8>)| tensor.2[7] = 0x80;
    assert!(spoil("layers.0.narrow.weight", lowest).contains("layers.0.narrow.weight: holds -128"));
}

#[test]
fn what_is_no_weight_file_is_refused() {
    let sample = Sample::small();
    let path = sample.write();
    let whole = std::fs::read(&path).unwrap();
    for bytes in [
        &whole[..0],
        &whole[..7],
        &whole[..whole.len() - 1],
        &whole[..100],
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
        b"\x02\0\0\0\0\0\0\0{}",
        b"onnx",
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(
            matches!(FusedEncoder::open(&path, None), Err(Error::BundleInvalid { .. })),
            "{}",
            bytes.len()
        );
    }
    let nowhere = sample.directory.path().join("nowhere");
    assert!(matches!(FusedEncoder::open(&nowhere, None), Err(Error::BundleNotFound { .. })));
}

/// What `native/fuzz` begins with, and what it once found: refused, or an encoder that runs.
#[test]
fn kept_weight_files_do_no_harm() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/weights");
    let mut whole = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        for kernel in kernels() {
            match FusedEncoder::open(&path, Some(kernel)) {
                Ok(encoder) => {
                    let mut batch = TokenBatch::new();
                    batch.push(&[0, 3, 1]);
                    encoder.encode(&batch, &mut vec![0.0; encoder.dimension()]).unwrap();
                    whole.push(path.file_stem().unwrap().to_owned());
                }
                Err(Error::BundleInvalid { .. }) => {}
                Err(other) => panic!("{}: {other}", path.display()),
            }
        }
    }
    whole.sort();
    whole.dedup();
    assert_eq!(whole, ["positions-overflow", "whole"]);
}

#[test]
fn kernels_have_names() {
    for kernel in Kernel::ALL {
        assert_eq!(kernel.name().parse::<Kernel>().unwrap(), kernel);
    }
    assert!("sse9".parse::<Kernel>().unwrap_err().to_string().contains("avx512vnni, avxvnni, avx2"));
    if let Some(foreign) = Kernel::ALL.into_iter().find(|kernel| !kernel.is_available()) {
        let error = FusedEncoder::open(&Sample::small().write(), Some(foreign)).err().unwrap();
        assert!(error.to_string().contains("does not run on this machine"), "{error}");
    }
}
