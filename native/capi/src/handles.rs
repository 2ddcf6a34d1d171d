//! Handles: a pointer from C is looked up before anything is done with it, and never read through.
//!
//! What C gets is the address of a mark, eight bytes of the heap with nothing in them. The table below says
//! which marks stand for something, so a pointer that was freed, or never was a handle, is told from a good
//! one without undefined behaviour. A lookup counts a reference of its own: what a call uses lives until the
//! call ends, whoever frees the handle meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// How many freed marks keep their memory. Until so many more were freed, no new object, ours or the
/// program's, has the address of one, and a late use of it is noticed.
pub(crate) const REMEMBERED: usize = 4096;

type Mark = Box<u64>;

struct Entry<T> {
    mark: Mark,
    references: usize,
    value: Arc<T>,
}

/// The content of a table.
pub(crate) struct State<T> {
    live: BTreeMap<usize, Entry<T>>,
    freed: VecDeque<Mark>,
}

/// All handles of one type.
pub(crate) struct Handles<T> {
    state: RwLock<State<T>>,
}

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Self { state: RwLock::new(State { live: BTreeMap::new(), freed: VecDeque::new() }) }
    }

    /// A handle with one reference. Its address is that of no other object.
    pub(crate) fn put(&self, value: T) -> usize {
        let mark = Mark::new(0);
        let handle = (&raw const *mark).addr();
        self.write().live.insert(handle, Entry { mark, references: 1, value: Arc::new(value) });
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
            state.freed.push_back(entry.mark);
            if state.freed.len() > REMEMBERED {
                state.freed.pop_front();
            }
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
        for _ in 0..3 {
            let handle = handles.put(0);
            handles.free(handle);
        }
        assert_eq!(handles.write().freed.len(), REMEMBERED);
    }
}
