//! Many token sequences as one packed run.

/// Token ids of `len()` texts, one after another without padding.
///
/// ```text
/// ids     101 2054 102 | 101 7592 2088 102 | ...
/// ends                 3                   7 ...
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenBatch {
    ids: Vec<u32>,
    ends: Vec<usize>,
}

impl TokenBatch {
    /// Returns an empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one sequence.
    pub fn push(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.ends.push(self.ids.len());
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The token ids of sequence `index`.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn sequence(&self, index: usize) -> &[u32] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.ids[start..self.ends[index]]
    }

    /// The token ids of a run of neighbouring sequences.
    ///
    /// # Panics
    /// If the range ends beyond [`len`](Self::len).
    pub fn run(&self, sequences: std::ops::Range<usize>) -> &[u32] {
        let bound = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        &self.ids[bound(sequences.start)..bound(sequences.end)]
    }

    /// Forgets all sequences and keeps the memory.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
    }

    /// All sequences in order.
    pub fn sequences(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.len()).map(|index| self.sequence(index))
    }

    /// The number of tokens of the longest sequence, 0 for an empty batch.
    pub fn longest(&self) -> usize {
        self.sequences().map(<[u32]>::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sequences_come_back_as_pushed(sequences in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..9), 0..9)) {
            let mut batch = TokenBatch::new();
            for sequence in &sequences {
                batch.push(sequence);
            }
            prop_assert_eq!(batch.len(), sequences.len());
            prop_assert_eq!(batch.longest(), sequences.iter().map(Vec::len).max().unwrap_or(0));
            prop_assert_eq!(batch.sequences().map(<[u32]>::to_vec).collect::<Vec<_>>(), sequences);
        }
    }
}
