//! The forward pass over one packed run of tokens.

use super::attention::{self, HeadScratch};
use super::buffer::Buffer;
use super::kernel::{Family, LANES, Lanes};
use super::operations::{Add, Gelu, Quantised, Rows, Store, layer_norm, product, quantise};
use super::weights::{Model, Pooling};

/// Rows of the wide feed-forward layer that are computed at once: their float32 results stay in the
/// second-level cache, and so does the memory bound.
const WIDE_ROWS: usize = 64;

/// One run: sequences that stand one after another, none empty, none longer than the model reads.
pub(super) struct Job<'a> {
    pub(super) model: &'a Model,
    pub(super) ids: &'a [u32],
    /// Where each sequence ends in `ids`.
    pub(super) ends: &'a [usize],
    pub(super) scratch: &'a mut Scratch,
    /// One vector per sequence.
    pub(super) out: &'a mut [f32],
}

/// What a forward pass writes and forgets. Grows to the longest run that it has seen; runs are bounded.
pub(super) struct Scratch {
    hidden: Buffer<f32>,
    qkv: Buffer<f32>,
    context: Buffer<f32>,
    wide: Buffer<f32>,
    bytes: Buffer<u8>,
    scales: Buffer<f32>,
    wide_bytes: Buffer<u8>,
    wide_scales: Buffer<f32>,
    head: HeadScratch,
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self {
            hidden: Buffer::new(),
            qkv: Buffer::new(),
            context: Buffer::new(),
            wide: Buffer::new(),
            bytes: Buffer::new(),
            scales: Buffer::new(),
            wide_bytes: Buffer::new(),
            wide_scales: Buffer::new(),
            head: HeadScratch::new(),
        }
    }

    fn reserve(&mut self, model: &Model, tokens: usize, longest: usize) {
        let (hidden, wide) = (model.config.hidden_size, model.config.intermediate_size);
        self.hidden.reserve(tokens * hidden);
        self.qkv.reserve(tokens * 3 * hidden);
        self.context.reserve(tokens * hidden);
        self.bytes.reserve(tokens * hidden);
        self.scales.reserve(tokens);
        let rows = tokens.min(WIDE_ROWS);
        self.wide.reserve(rows * wide);
        self.wide_bytes.reserve(rows * wide);
        self.wide_scales.reserve(rows);
        self.head.reserve(longest, hidden / model.config.heads);
    }
}

/// # Safety
/// The family's processor features are there.
#[inline(always)]
pub(super) unsafe fn run<F: Family>(job: &mut Job<'_>) {
    let Job { model, ids, ends, scratch, out } = job;
    let (config, tokens) = (&model.config, ids.len());
    let hidden_size = config.hidden_size;
    let mut start = 0;
    let mut longest = 0;
    for &end in *ends {
        assert!(end > start && end - start <= config.positions, "a sequence of {} tokens", end - start);
        longest = longest.max(end - start);
        start = end;
    }
    assert!(start == tokens && ids.iter().all(|&id| (id as usize) < config.vocabulary), "ids and ends agree");
    assert_eq!(out.len(), ends.len() * hidden_size, "one vector per sequence");
    scratch.reserve(model, tokens, longest);

    let hidden = Rows { values: scratch.hidden.as_mut_ptr(), columns: hidden_size };
    let qkv = Rows { values: scratch.qkv.as_mut_ptr(), columns: 3 * hidden_size };
    let context = Rows { values: scratch.context.as_mut_ptr(), columns: hidden_size };
    let wide = Rows { values: scratch.wide.as_mut_ptr(), columns: config.intermediate_size };
    let input = Quantised {
        bytes: scratch.bytes.as_mut_ptr(),
        scales: scratch.scales.as_mut_ptr(),
        columns: hidden_size,
    };
    let wide_input = Quantised {
        bytes: scratch.wide_bytes.as_mut_ptr(),
        scales: scratch.wide_scales.as_mut_ptr(),
        columns: config.intermediate_size,
    };
    let head = &mut scratch.head;

    // SAFETY: the features, by the caller; every buffer was just reserved for `tokens` rows, the wide ones
    // for min(tokens, WIDE_ROWS); the model's matrices have the sizes of its configuration.
    unsafe {
        embed::<F>(model, ids, ends, hidden);
        layer_norm::<F>(hidden, &model.norm, config.epsilon, tokens);
        for layer in &model.layers {
            quantise::<F>(hidden, layer.qkv.smooth(), tokens, input);
            product::<F, Store>(input, &layer.qkv, model.weights(&layer.qkv), tokens, qkv);
            let mut start = 0;
            for &end in *ends {
                let (from, to) = (qkv.rows_from(start), context.rows_from(start));
                attention::attend::<F>(from, end - start, config.heads, head, to);
                start = end;
            }
            quantise::<F>(context, layer.output.smooth(), tokens, input);
            product::<F, Add>(input, &layer.output, model.weights(&layer.output), tokens, hidden);
            layer_norm::<F>(hidden, &layer.attention_norm, config.epsilon, tokens);
            quantise::<F>(hidden, layer.widen.smooth(), tokens, input);
            for row in (0..tokens).step_by(WIDE_ROWS) {
                let rows = WIDE_ROWS.min(tokens - row);
                product::<F, Gelu>(
                    input.rows_from(row),
                    &layer.widen,
                    model.weights(&layer.widen),
                    rows,
                    wide,
                );
                quantise::<F>(wide, layer.narrow.smooth(), rows, wide_input);
                let hidden = hidden.rows_from(row);
                product::<F, Add>(wide_input, &layer.narrow, model.weights(&layer.narrow), rows, hidden);
            }
            layer_norm::<F>(hidden, &layer.norm, config.epsilon, tokens);
        }
        pool::<F>(model, hidden, ends, out);
    }
}

/// Word plus position; the embedding of token type 0 is part of the positions.
#[inline(always)]
unsafe fn embed<F: Family>(model: &Model, ids: &[u32], ends: &[usize], to: Rows) {
    let columns = to.columns;
    let words = model.words();
    let mut start = 0;
    for &end in ends {
        for (row, &id) in ids.iter().enumerate().take(end).skip(start) {
            let id = id as usize;
            let word = &words[id * columns..][..columns];
            let position = &model.positions[(row - start) * columns..][..columns];
            // SAFETY: the slices have `columns` elements, a multiple of 16, and so has row `row`.
            unsafe {
                let scale = F::V::splat(model.word_scales[id]);
                for column in (0..columns).step_by(LANES) {
                    F::V::from_i8(word.as_ptr().add(column))
                        .mul_add(scale, F::V::load(position.as_ptr().add(column)))
                        .store(to.at(row, column));
                }
            }
        }
        start = end;
    }
}

/// One unit vector per sequence.
#[inline(always)]
unsafe fn pool<F: Family>(model: &Model, hidden: Rows, ends: &[usize], out: &mut [f32]) {
    let columns = hidden.columns;
    let mut start = 0;
    for (&end, vector) in ends.iter().zip(out.chunks_exact_mut(columns)) {
        let rows = match model.config.pooling {
            Pooling::Mean => start..end,
            Pooling::Cls => start..start + 1,
        };
        // SAFETY: rows start..end exist, and `vector` has `columns` elements, a multiple of 16.
        unsafe {
            let mut squares = F::V::splat(0.0);
            for column in (0..columns).step_by(LANES) {
                let mut sum = F::V::splat(0.0);
                for row in rows.clone() {
                    sum = sum.add(F::V::load(hidden.at(row, column)));
                }
                // The mean's divisor is lost in the normalisation.
                sum.store(vector.as_mut_ptr().add(column));
                squares = sum.mul_add(sum, squares);
            }
            let factor = F::V::splat(1.0 / squares.sum().sqrt());
            for column in (0..columns).step_by(LANES) {
                let place = vector.as_mut_ptr().add(column);
                F::V::load(place).mul(factor).store(place);
            }
        }
        start = end;
    }
}
