//! Vectors, similarities.

use std::ffi::{c_char, c_int};
use std::time::Instant;

use cachelora::Embedder;
use cachelora::similarity::cosine_of_units;

use crate::boundary::{guard, number, string};
use crate::layout::{EmbeddingResult, SimilarityResult};
use crate::memory::lend_vector;
use crate::served::{limit, served};

/// The vector of a text and how many tokens it was computed of.
fn vector(embedder: &Embedder, text: &str, max_length: c_int) -> Result<(Vec<f32>, usize), String> {
    let limit = limit(embedder, max_length);
    let mut vector = vec![0.0; embedder.dimension()];
    let info = embedder.embed_within(text, limit, &mut vector).map_err(|error| error.to_string())?;
    Ok((vector, info.tokens.min(limit)))
}

/// The unit vector of `text`, cut to `max_length` tokens; 0 or less is the bundle's limit.
#[unsafe(no_mangle)]
unsafe extern "C" fn get_text_embedding(text: *const c_char, max_length: c_int) -> EmbeddingResult {
    guard("get_text_embedding", EmbeddingResult::FAILED, || {
        let began = Instant::now();
        // SAFETY: the caller's word.
        let text = unsafe { string(text, "text") }?;
        let (vector, tokens) = vector(served()?, text, max_length)?;
        Ok(EmbeddingResult {
            length: number(vector.len(), "dimension")?,
            sequence_length: number(tokens, "token count")?,
            data: lend_vector(&vector)?,
            error: false,
            model_type: -1,
            processing_time_ms: began.elapsed().as_secs_f32() * 1e3,
        })
    })
}

/// The cosine of two texts, each cut to `max_length` tokens; -1 if something is wrong.
#[unsafe(no_mangle)]
unsafe extern "C" fn calculate_similarity(
    text1: *const c_char,
    text2: *const c_char,
    max_length: c_int,
) -> f32 {
    guard("calculate_similarity", -1.0, || {
        // SAFETY: the caller's word.
        let texts = unsafe { [string(text1, "text1")?, string(text2, "text2")?] };
        let embedder = served()?;
        let (first, _) = vector(embedder, texts[0], max_length)?;
        let (second, _) = vector(embedder, texts[1], max_length)?;
        Ok(cosine_of_units(&first, &second))
    })
}

/// The candidate with the highest cosine to the query, the first of equals; index -1 if something is wrong.
#[unsafe(no_mangle)]
unsafe extern "C" fn find_most_similar(
    query: *const c_char,
    candidates: *const *const c_char,
    num_candidates: c_int,
    max_length: c_int,
) -> SimilarityResult {
    guard("find_most_similar", SimilarityResult::NONE, || {
        // SAFETY: the caller's word.
        let query = unsafe { string(query, "query") }?;
        let count = usize::try_from(num_candidates).ok().filter(|&count| count > 0);
        let count = count.ok_or_else(|| format!("num_candidates is {num_candidates}"))?;
        if candidates.is_null() {
            return Err("candidates is NULL".to_owned());
        }
        // SAFETY: not NULL; that many pointers by the caller's word.
        let candidates = unsafe { std::slice::from_raw_parts(candidates, count) };
        let embedder = served()?;
        let (query, _) = vector(embedder, query, max_length)?;
        let mut nearest = SimilarityResult::NONE;
        for (index, &candidate) in (0..).zip(candidates) {
            // SAFETY: the caller's word.
            let candidate = unsafe { string(candidate, "a candidate") }
                .map_err(|problem| format!("{problem} (number {index}, from 0)"))?;
            let score = cosine_of_units(&query, &vector(embedder, candidate, max_length)?.0);
            if nearest.index < 0 || score > nearest.score {
                nearest = SimilarityResult { index, score, ..SimilarityResult::NONE };
            }
        }
        Ok(nearest)
    })
}
