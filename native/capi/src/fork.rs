//! What a forked child finds: no lock that a thread held which the child does not have.
//!
//! A child has only the thread that forked. A handle on which no call was running then works in it as in its
//! parent; one that a call was using may be in any state inside, so the child is told, and opens anew.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::status::Failure;
use crate::status::cachelora_status::CACHELORA_INVALID_ARGUMENT;

static OPENING: AtomicUsize = AtomicUsize::new(0);
static FORKED_WHILE_OPENING: AtomicBool = AtomicBool::new(false);

/// While this lives, a bundle is being opened.
pub(crate) struct Opening(());

impl Opening {
    /// Refused in a child whose parent was opening a bundle when it forked: what the opening loads once for the
    /// whole process may be half loaded.
    pub(crate) fn begin() -> Result<Self, Failure> {
        if FORKED_WHILE_OPENING.load(Ordering::Relaxed) {
            return Err(Failure::new(
                CACHELORA_INVALID_ARGUMENT,
                "this process was forked while another thread was in cachelora_open; fork earlier or later, or exec",
            ));
        }
        #[cfg(unix)]
        at_fork::register();
        OPENING.fetch_add(1, Ordering::SeqCst);
        Ok(Self(()))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        OPENING.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(unix)]
mod at_fork {
    use std::cell::UnsafeCell;
    use std::sync::RwLockWriteGuard;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{FORKED_WHILE_OPENING, OPENING};
    use crate::embedder::{EMBEDDERS, Opened};
    use crate::handles::State;
    use crate::logging;
    use crate::status::{ERRORS, Problem};

    type Tables = (RwLockWriteGuard<'static, State<Opened>>, RwLockWriteGuard<'static, State<Problem>>);

    /// Both tables, while a fork is under way.
    struct Held(UnsafeCell<Option<Tables>>);

    // SAFETY: only the thread that forks uses it, between `before` and `in_parent` or `in_child`, and all that
    // time it alone holds the locks of both tables, which a second forking thread waits for.
    unsafe impl Sync for Held {}

    static HELD: Held = Held(UnsafeCell::new(None));

    extern "C" fn before() {
        let tables = (EMBEDDERS.write(), ERRORS.write());
        // SAFETY: as `Held` says.
        unsafe { *HELD.0.get() = Some(tables) };
    }

    extern "C" fn in_parent() {
        // SAFETY: as `Held` says. Taken out first: once the locks are free, the cell is another thread's.
        drop(unsafe { (*HELD.0.get()).take() });
    }

    extern "C" fn in_child() {
        // SAFETY: as above.
        let tables = unsafe { (*HELD.0.get()).take() };
        if let Some((embedders, _)) = &tables {
            embedders.in_use().for_each(Opened::interrupt);
        }
        if OPENING.load(Ordering::SeqCst) > 0 {
            FORKED_WHILE_OPENING.store(true, Ordering::Relaxed);
        }
        logging::renew();
        drop(tables);
    }

    pub(super) fn register() {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        if !REGISTERED.swap(true, Ordering::SeqCst) {
            // SAFETY: the three functions live as long as the library; it fails only without memory, and then a
            // child has what it had before.
            let _ = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
        }
    }
}
