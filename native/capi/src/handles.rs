//! Handles: a pointer from C is looked up before anything is done with it, and never read through.
//!
//! What C gets is the address of a mark, eight bytes with nothing in them. The table below says which marks
//! stand for something, so a pointer that was freed, or never was a handle, is told from a good
//! one without undefined behaviour. A lookup counts a reference of its own: what a call uses lives until the
//! call ends, whoever frees the handle meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Until so many more were freed, a freed mark stands for nothing else, and a late use of it is noticed.
const REMEMBERED: usize = 4096;
/// Marks are made by the page: single ones, which are kept so long, would hold the heap around them in pieces.
const PAGE: usize = 512;

struct Entry<T> {
    references: usize,
    value: Arc<T>,
}

/// The content of a table.
pub(crate) struct State<T> {
    live: BTreeMap<usize, Entry<T>>,
    /// The marks that stood for something, the latest freed last.
    freed: VecDeque<usize>,
    /// The marks that never did.
    fresh: Vec<usize>,
    /// Never given back, so that no object of the program has the address of a mark.
    pages: Vec<Box<[u64]>>,
}

/// All handles of one type.
pub(crate) struct Handles<T> {
    state: RwLock<State<T>>,
}

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Self {
            state: RwLock::new(State {
                live: BTreeMap::new(),
                freed: VecDeque::new(),
                fresh: Vec::new(),
                pages: Vec::new(),
            }),
        }
    }

    /// A handle with one reference. Its address is that of no other object.
    pub(crate) fn put(&self, value: T) -> usize {
        let entry = Entry { references: 1, value: Arc::new(value) };
        let mut state = self.write();
        let handle = state.mark();
        state.live.insert(handle, entry);
        handle
    }

    /// What the handle stands for; None if it stands for nothing.
    pub(crate) fn get(&self, handle: usize) -> Option<Arc<T>> {
        self.read().live.get(&handle).map(|entry| Arc::clone(&entry.value))
    }

    /// Counts one more reference, or says that there is no such handle.
    pub(crate) fn retain(&self, handle: usize) -> bool {
        self.write().live.get_mut(&handle).map(|entry| entry.references += 1).is_some()
    }

    /// Counts one reference less, or says that there is no such handle.
    pub(crate) fn free(&self, handle: usize) -> bool {
        let mut state = self.write();
        let Some(entry) = state.live.get_mut(&handle) else { return false };
        entry.references -= 1;
        if entry.references == 0
            && let Some(entry) = state.live.remove(&handle)
        {
            state.freed.push_back(handle);
            // Closing may take a while; nobody else waits for it.
            drop(state);
            drop(entry.value);
        }
        true
    }

    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the table as it is.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// A mark that stands for nothing, and has not for long.
    fn mark(&mut self) -> usize {
        if self.freed.len() > REMEMBERED
            && let Some(mark) = self.freed.pop_front()
        {
            return mark;
        }
        if let Some(mark) = self.fresh.pop() {
            return mark;
        }
        let page = vec![0_u64; PAGE].into_boxed_slice();
        let first = page.as_ptr().addr();
        self.fresh.extend((1..PAGE).rev().map(|index| first + index * size_of::<u64>()));
        self.pages.push(page);
        first
    }

    /// What calls are using now.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = &T> {
        self.live.values().filter(|entry| Arc::strong_count(&entry.value) > 1).map(|entry| &*entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_lives_as_long_as_its_references() {
        let handles = Handles::new();
        let handle = handles.put("text");
        assert!(handles.retain(handle));
        assert!(handles.free(handle));
        assert_eq!(handles.get(handle).as_deref(), Some(&"text"));
        assert!(handles.free(handle));
        assert_eq!(handles.get(handle), None);
        assert!(!handles.free(handle), "freed twice");
        assert!(!handles.retain(handle));
    }

    #[test]
    fn what_is_in_use_outlives_its_handle() {
        let handles = Handles::new();
        let handle = handles.put(String::from("text"));
        assert_eq!(handles.write().in_use().count(), 0);
        let used = handles.get(handle).unwrap();
        assert_eq!(handles.write().in_use().count(), 1);
        assert!(handles.free(handle));
        assert_eq!(*used, "text");
        assert_eq!(Arc::strong_count(&used), 1);
    }

    #[test]
    fn a_freed_handle_is_remembered_and_memory_is_bounded() {
        let handles = Handles::new();
        let freed: Vec<usize> = (0..REMEMBERED)
            .map(|value| {
                let handle = handles.put(value);
                assert!(handles.free(handle));
                handle
            })
            .collect();
        let live = handles.put(0);
        assert!(!freed.contains(&live));
        for _ in 0..3 * REMEMBERED {
            let handle = handles.put(0);
            assert_ne!(handle, live);
            handles.free(handle);
        }
        assert!(handles.write().freed.len() <= REMEMBERED + 1);
        assert!(handles.write().pages.len() <= REMEMBERED / PAGE + 1);
    }
}
