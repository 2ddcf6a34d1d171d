//! A bundle, opened: texts in, unit vectors out.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::batch::TokenBatch;
use crate::bundle::{self, Bundle, Manifest};
use crate::calibration::Calibration;
use crate::encoder::Encoder;
use crate::encoder::fused::{self, FusedEncoder, Kernel};
use crate::encoder::onnx::OrtEncoder;
use crate::encoder::onnx::library::{Library, Search};
use crate::tokenizer::{Tokenizer, Tokens};
use crate::{Error, Result, pooling};

/// What happens to a text with more tokens than the model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTooLong {
    /// Its first tokens are used, and [`InputInfo::truncated`] says so.
    #[default]
    Truncate,
    /// The call fails with [`Error::InputTooLong`].
    Reject,
}

/// Which encoder computes the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// The fused encoder where the bundle has its weights, else ONNX Runtime.
    #[default]
    Auto,
    /// The fused encoder; a bundle without its weights does not open.
    Fused,
    /// ONNX Runtime: the float32 reference.
    OnnxRuntime,
}

/// How a bundle is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What happens to texts that are too long.
    pub on_too_long: OnTooLong,
    /// How many threads share the work of one batch; 0 means 1. One text always runs on its caller's
    /// thread.
    pub threads: usize,
    /// Which encoder computes the vectors.
    pub backend: Backend,
    /// The kernel of the fused encoder; None takes the one that the environment variable
    /// `CACHELORA_KERNEL` names, or the fastest.
    pub kernel: Option<Kernel>,
    /// The ONNX Runtime library file to use; None searches for one.
    pub onnxruntime_path: Option<PathBuf>,
    /// site-packages directories in which an installed `onnxruntime` wheel is looked for first.
    pub site_packages: Vec<PathBuf>,
}

impl Options {
    /// Where these options look for ONNX Runtime.
    pub fn search(&self) -> Search {
        Search { explicit: self.onnxruntime_path.clone(), site_packages: self.site_packages.clone() }
    }
}

/// What became of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputInfo {
    /// The true number of tokens of the whole text, special tokens included.
    pub tokens: usize,
    /// Whether only the first `max_tokens` of them were used.
    pub truncated: bool,
}

/// The texts that a thread tokenizes at a time.
const PART_TEXTS: usize = 16;
/// The most tokens of one run, where an encoder does not pad: enough to read the weights seldom.
const RUN_TOKENS: usize = 256;
/// The fewest tokens that the last runs of several threads are made for.
const SMALL_RUN_TOKENS: usize = 48;
/// The sequences of one run, where an encoder pads; larger runs win nothing on a CPU and cost memory.
const PADDED_SEQUENCES: usize = 16;
/// Padded sequences share a run only while padding them all to the longest wastes at most this share.
const PADDED_WASTE: f64 = 0.125;

/// An opened bundle. Every method takes `&self` and may be called from any number of threads at once.
pub struct Embedder {
    bundle: Bundle,
    tokenizer: Tokenizer,
    encoder: Box<dyn Encoder>,
    library: Option<Library>,
    calibration: Option<Calibration>,
    fingerprint: String,
    on_too_long: OnTooLong,
    threads: usize,
}

impl Embedder {
    /// Loads the model of the bundle in `directory`. The manifest and every file that is read are verified; what
    /// the chosen backend does not read (`model.onnx`, for the fused encoder) is not, and may be missing.
    /// [`Bundle::verified`] verifies all.
    ///
    /// # Errors
    /// Whatever is wrong with the bundle, or with ONNX Runtime where it is used; see [`Error`].
    pub fn open(directory: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let bundle = Bundle::open(directory.as_ref())?;
        // The two large files are verified and read side by side.
        let (tokenizer, encoder) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| open_tokenizer(&bundle));
            let encoder = open_encoder(&bundle, options);
            (join(tokenizer), encoder)
        });
        let (tokenizer, (encoder, library)) = (tokenizer?, encoder?);
        let calibration =
            bundle.verify(bundle::CALIBRATION)?.map(|path| Calibration::from_file(&path)).transpose()?;
        // Auto would have taken the fused encoder.
        let unusual = options.backend == Backend::OnnxRuntime && bundle.path(bundle::INT8_WEIGHTS).is_some();
        let fingerprint = if unusual {
            bundle.fingerprint_of(encoder.name())
        } else {
            bundle.manifest().fingerprint.clone()
        };
        let on_too_long = options.on_too_long;
        let threads = options.threads.max(1);
        Ok(Self { bundle, tokenizer, encoder, library, calibration, fingerprint, on_too_long, threads })
    }

    /// Writes the vector of `text` to `out`, which has [`dimension`](Self::dimension) elements.
    ///
    /// Runs on the caller's thread.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an `out` of another size, [`Error::InputTooLong`] if that is the
    /// policy, [`Error::Tokenizer`] and [`Error::Inference`].
    pub fn embed(&self, text: &str, out: &mut [f32]) -> Result<InputInfo> {
        self.check_output(1, out)?;
        let tokens = self.tokenize(0, text)?;
        self.encode_one(&tokens, out)
    }

    /// Writes the vector of the first `limit` tokens of `text` to `out`, special tokens included, or of the first
    /// `max_tokens` if that is less. The caller asks for the cut, so no text is too long.
    ///
    /// # Errors
    /// As [`embed`](Self::embed), and [`Error::InvalidArgument`] if `limit` leaves no room for text.
    pub fn embed_within(&self, text: &str, limit: usize, out: &mut [f32]) -> Result<InputInfo> {
        self.check_output(1, out)?;
        let tokens = self.tokenizer.encode_within(text, limit)?;
        self.encode_one(&tokens, out)
    }

    /// Writes the vectors of `texts` to `out`, row after row: `texts.len() * dimension` elements.
    ///
    /// A text's vector is the same alone and in any batch: bit for bit from the fused encoder, to 1e-6 per
    /// element from ONNX Runtime, which pads.
    ///
    /// # Errors
    /// As [`embed`](Self::embed); [`Error::InputTooLong`] names the text by its place in `texts`.
    pub fn embed_batch<T: AsRef<str> + Sync>(&self, texts: &[T], out: &mut [f32]) -> Result<Vec<InputInfo>> {
        self.check_output(texts.len(), out)?;
        let tokens = self.tokenize_all(texts)?;
        let runs = plan_runs(&tokens, self.encoder.pads(), self.threads);
        let dimension = self.dimension();
        let encode_run = |run: &[usize]| -> Result<Vec<f32>> {
            let mut batch = TokenBatch::new();
            for &index in run {
                batch.push(&tokens[index].ids);
            }
            let mut vectors = vec![0.0; run.len() * dimension];
            self.run(&batch, &mut vectors)?;
            Ok(vectors)
        };
        let mut place = |run: &[usize], vectors: &[f32]| {
            for (&index, vector) in run.iter().zip(vectors.chunks_exact(dimension)) {
                out[index * dimension..][..dimension].copy_from_slice(vector);
            }
        };
        for (run, vectors) in in_parallel(self.threads, &runs, |run| encode_run(run))? {
            place(run, &vectors);
        }
        Ok(tokens.iter().map(|tokens| self.info(tokens)).collect())
    }

    /// The length of a vector.
    pub fn dimension(&self) -> usize {
        self.encoder.dimension()
    }

    /// The bundle's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The directory that was opened.
    pub fn directory(&self) -> &Path {
        self.bundle.directory()
    }

    /// How many tokens of a text the model reads, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.tokenizer.max_tokens()
    }

    /// Which encoder computes the vectors, for instance `fused`.
    pub fn backend(&self) -> &'static str {
        self.encoder.name()
    }

    /// The kernel of the fused encoder; None where ONNX Runtime computes.
    pub fn kernel(&self) -> Option<Kernel> {
        self.encoder.kernel()
    }

    /// The namespace of this embedder's vectors, 64 hex digits: vectors of two fingerprints must never
    /// be compared.
    ///
    /// That of the manifest, unless ONNX Runtime was asked for where [`Backend::Auto`] would have taken the fused
    /// encoder: then the SHA-256 of `FINGERPRINT\nbackend=onnxruntime\n`, for the two encoders' vectors differ.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        self.bundle.manifest()
    }

    /// The ONNX Runtime library in use; None where it is not needed.
    pub fn library(&self) -> Option<&Library> {
        self.library.as_ref()
    }

    /// The similarity from which on an answer cached for `domain` may be reused, so that at most the
    /// share `max_false_hit_rate` of near misses would wrongly be served.
    ///
    /// # Errors
    /// [`Error::NotCalibrated`], saying what was calibrated.
    pub fn threshold(&self, domain: &str, max_false_hit_rate: f64) -> Result<f32> {
        match &self.calibration {
            Some(calibration) => calibration.threshold(domain, max_false_hit_rate),
            None => Err(Error::NotCalibrated(format!(
                "{} was not calibrated; run `cachelora calibrate` on it",
                self.bundle.directory().display()
            ))),
        }
    }

    fn check_output(&self, texts: usize, out: &[f32]) -> Result<()> {
        let needed = texts * self.dimension();
        if out.len() != needed {
            return Err(Error::InvalidArgument(format!(
                "the output has room for {} numbers, {texts} vectors of {} need {needed}",
                out.len(),
                self.dimension()
            )));
        }
        Ok(())
    }

    fn encode_one(&self, tokens: &Tokens, out: &mut [f32]) -> Result<InputInfo> {
        let mut batch = TokenBatch::new();
        batch.push(&tokens.ids);
        self.run(&batch, out)?;
        Ok(self.info(tokens))
    }

    fn tokenize_all<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Tokens>> {
        let parts: Vec<_> = (0..texts.len()).step_by(PART_TEXTS).collect();
        let mut tokenized = in_parallel(self.threads, &parts, |&first| {
            let part = &texts[first..texts.len().min(first + PART_TEXTS)];
            let tokens = (first..).zip(part).map(|(index, text)| self.tokenize(index, text.as_ref()));
            // A failure is a result here, so that the first text's is told and not the fastest thread's.
            Ok(tokens.collect::<Result<Vec<_>>>())
        })?;
        tokenized.sort_unstable_by_key(|&(first, _)| first);
        let tokens: Vec<Vec<Tokens>> =
            tokenized.into_iter().map(|(_, tokens)| tokens).collect::<Result<_>>()?;
        Ok(tokens.into_iter().flatten().collect())
    }

    fn tokenize(&self, index: usize, text: &str) -> Result<Tokens> {
        let tokens = self.tokenizer.encode(text)?;
        if self.on_too_long == OnTooLong::Reject && tokens.count > self.max_tokens() {
            return Err(Error::InputTooLong { index, tokens: tokens.count, max_tokens: self.max_tokens() });
        }
        Ok(tokens)
    }

    fn info(&self, tokens: &Tokens) -> InputInfo {
        InputInfo { tokens: tokens.count, truncated: tokens.count > tokens.ids.len() }
    }

    fn run(&self, batch: &TokenBatch, out: &mut [f32]) -> Result<()> {
        self.encoder.encode(batch, out)?;
        pooling::check_unit_vectors(out, self.dimension())
    }
}

/// A thread's result, or its panic.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Reads the tokenizer, which must belong to the model.
fn open_tokenizer(bundle: &Bundle) -> Result<Tokenizer> {
    let manifest = bundle.manifest();
    let path =
        bundle.verify(bundle::TOKENIZER)?.ok_or_else(|| missing(bundle, bundle::TOKENIZER, "every"))?;
    let tokenizer = Tokenizer::from_file(&path, manifest.max_tokens)?;
    if tokenizer.vocabulary_size() > manifest.architecture.vocab_size {
        return Err(Error::BundleInvalid {
            path,
            problem: format!(
                "has {} tokens, the model's embedding table {}; the tokenizer belongs to another model",
                tokenizer.vocabulary_size(),
                manifest.architecture.vocab_size
            ),
        });
    }
    Ok(tokenizer)
}

/// The manifest does not list a file.
fn missing(bundle: &Bundle, name: &str, backend: &str) -> Error {
    Error::BundleInvalid {
        path: bundle.directory().join(bundle::MANIFEST),
        problem: format!(
            "files: '{name}' is missing, which backend {backend} needs; export the bundle again"
        ),
    }
}

/// Opens what the options ask for, and says which ONNX Runtime it uses.
fn open_encoder(bundle: &Bundle, options: &Options) -> Result<(Box<dyn Encoder>, Option<Library>)> {
    let weights = match options.backend {
        Backend::OnnxRuntime => None,
        Backend::Auto | Backend::Fused => bundle.path(bundle::INT8_WEIGHTS),
    };
    match (options.backend, weights) {
        (Backend::Fused, None) => Err(missing(bundle, bundle::INT8_WEIGHTS, "fused")),
        (Backend::Auto | Backend::Fused, Some(weights)) => {
            // Reading checks all that it relies on, so it need not wait for the hash; nothing is used before both
            // are done. It runs ahead of the hash, which then finds the pages of the one map there.
            let map = fused::map(&weights)?;
            let (verified, encoder) = std::thread::scope(|scope| {
                let verified = scope.spawn(|| bundle.verify_content(bundle::INT8_WEIGHTS, &map));
                let encoder = FusedEncoder::of_map(&weights, Arc::clone(&map), options.kernel);
                (join(verified), encoder)
            });
            verified?;
            let encoder = encoder?;
            encoder.forget_words();
            let manifest = bundle.manifest();
            let sizes = [
                ("dimension", encoder.dimension(), manifest.dimension),
                ("vocabulary", encoder.vocabulary_size(), manifest.architecture.vocab_size),
                ("positions", encoder.max_tokens(), encoder.max_tokens().max(manifest.max_tokens)),
            ];
            for (key, found, expected) in sizes {
                if found != expected {
                    return Err(Error::BundleInvalid {
                        path: weights,
                        problem: format!("{key} is {found}, the manifest asks for {expected}"),
                    });
                }
            }
            Ok((Box::new(encoder), None))
        }
        (Backend::Auto | Backend::OnnxRuntime, _) => {
            let model = bundle
                .verify(bundle::ONNX_MODEL)?
                .ok_or_else(|| missing(bundle, bundle::ONNX_MODEL, "onnxruntime"))?;
            let encoder = OrtEncoder::open(&model, bundle.manifest().dimension, &options.search())?;
            let library = encoder.library().clone();
            Ok((Box::new(encoder), Some(library)))
        }
    }
}

/// Groups texts into runs of indices into `tokens`, the longest texts first; texts of similar length where
/// the encoder pads.
///
/// Long runs first, and the last ones small, keeps the threads evenly loaded to the end.
fn plan_runs(tokens: &[Tokens], pads: bool, threads: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(tokens[index].ids.len()));
    let mut runs: Vec<Vec<usize>> = Vec::new();
    // The tokens of the last run, the most that it may have, and those of no run yet.
    let (mut total, mut most) = (0, RUN_TOKENS);
    let mut left: usize = tokens.iter().map(|tokens| tokens.ids.len()).sum();
    for index in order {
        let length = tokens[index].ids.len();
        let fits = |run: &Vec<usize>| {
            if pads {
                run.len() < PADDED_SEQUENCES
                    && length as f64 >= (1.0 - PADDED_WASTE) * tokens[run[0]].ids.len() as f64
            } else {
                total + length <= most
            }
        };
        match runs.last_mut() {
            Some(run) if fits(run) => {
                run.push(index);
                total += length;
            }
            _ => {
                runs.push(vec![index]);
                total = length;
                if threads > 1 {
                    most = (left / (2 * threads)).clamp(SMALL_RUN_TOKENS, RUN_TOKENS);
                }
            }
        }
        left -= length;
    }
    runs
}

/// Each piece of work with its result, or the first failure.
type Collected<'a, W, R> = Result<Vec<(&'a W, R)>>;

/// Calls `work` on every piece from `threads` threads, one of which is the caller's; results come in no order.
fn in_parallel<'a, W: Sync, R: Send>(
    threads: usize,
    pieces: &'a [W],
    work: impl Fn(&W) -> Result<R> + Sync,
) -> Collected<'a, W, R> {
    let next = AtomicUsize::new(0);
    let collected: Mutex<Collected<'a, W, R>> = Mutex::new(Ok(Vec::with_capacity(pieces.len())));
    let worker = || {
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = work(piece);
            let mut collected = collected.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match (outcome, &mut *collected) {
                (Ok(result), Ok(results)) => results.push((piece, result)),
                (Err(error), Ok(_)) => *collected = Err(error),
                (_, Err(_)) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(pieces.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    collected.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_cover_every_text_once_and_waste_little(
            lengths in prop::collection::vec(2..200_usize, 0..80),
            pads: bool,
            threads in 1..5_usize,
        ) {
            let tokens: Vec<Tokens> =
                lengths.iter().map(|&length| Tokens { ids: vec![0; length], count: length }).collect();
            let runs = plan_runs(&tokens, pads, threads);
            let mut seen: Vec<usize> = runs.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for run in runs {
                if pads {
                    prop_assert!(run.len() <= PADDED_SEQUENCES);
                    let longest = run.iter().map(|&index| lengths[index]).max().unwrap() as f64;
                    for index in run {
                        prop_assert!(lengths[index] as f64 >= (1.0 - PADDED_WASTE) * longest);
                    }
                } else {
                    prop_assert!(run.iter().map(|&index| lengths[index]).sum::<usize>() <= RUN_TOKENS);
                }
            }
        }
    }

    #[test]
    fn work_in_parallel_reports_the_failure() {
        let runs: Vec<Vec<usize>> = (0..20).map(|index| vec![index]).collect();
        let results = in_parallel(3, &runs, |run| Ok(run[0] * 2)).unwrap();
        assert_eq!(results.iter().map(|(_, result)| result).sum::<usize>(), 380);
        let failure = in_parallel(3, &runs, |run| {
            if run[0] == 7 { Err(Error::Inference("seven".to_owned())) } else { Ok(()) }
        });
        assert!(matches!(failure, Err(Error::Inference(message)) if message == "seven"));
    }
}
