//! The log callback. Nothing is ever printed.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{PoisonError, RwLock};

/// Something failed that the caller hears of in another way too.
pub const CACHELORA_LOG_ERROR: u32 = 1;
/// Something is not as it should be, but works.
pub const CACHELORA_LOG_WARN: u32 = 2;
/// What was chosen, once per open.
pub const CACHELORA_LOG_INFO: u32 = 3;
/// What developers of cachelora want to know.
pub const CACHELORA_LOG_DEBUG: u32 = 4;

/// Receives one message: its level, and `len` bytes of UTF-8 at `message` that are valid during the call
/// and not NUL-terminated. It may be called from any thread and must not call back into cachelora.
#[allow(non_camel_case_types)]
pub type cachelora_log_callback =
    Option<unsafe extern "C" fn(level: u32, message: *const c_char, len: usize, user_data: *mut c_void)>;

#[derive(Clone, Copy)]
struct Sink {
    callback: unsafe extern "C" fn(u32, *const c_char, usize, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: cachelora_set_log_callback demands a callback and user data that any thread may use.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

static FIRST: RwLock<Option<Sink>> = RwLock::new(None);
/// The lock in use; another one in a child of fork(), whose parent's threads may have held this one.
static SINK: AtomicPtr<RwLock<Option<Sink>>> = AtomicPtr::new((&raw const FIRST).cast_mut());

thread_local! {
    /// Whether this thread is inside the callback.
    static CALLING: Cell<bool> = const { Cell::new(false) };
}

fn sink() -> &'static RwLock<Option<Sink>> {
    // SAFETY: it points at FIRST or at a leaked lock.
    unsafe { &*SINK.load(Ordering::Acquire) }
}

/// Called in a child of fork(): the callback stays, unless it was being replaced at that moment.
#[cfg(unix)]
pub(crate) fn renew() {
    let same = sink().try_read().ok().and_then(|sink| *sink);
    SINK.store(Box::into_raw(Box::new(RwLock::new(same))), Ordering::Release);
}

struct Forward;

static FORWARD: Forward = Forward;

impl log::Log for Forward {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record) {
        // A callback that makes us log would wait for itself.
        if !self.enabled(record.metadata()) || CALLING.get() {
            return;
        }
        let level = match record.level() {
            log::Level::Error => CACHELORA_LOG_ERROR,
            log::Level::Warn => CACHELORA_LOG_WARN,
            log::Level::Info => CACHELORA_LOG_INFO,
            log::Level::Debug | log::Level::Trace => CACHELORA_LOG_DEBUG,
        };
        let message = format!("{}: {}", record.target(), record.args());
        if let Some(sink) = &*sink().read().unwrap_or_else(PoisonError::into_inner) {
            CALLING.set(true);
            // SAFETY: the callback has this type, and the message is alive during the call.
            unsafe { (sink.callback)(level, message.as_ptr().cast(), message.len(), sink.user_data) };
            CALLING.set(false);
        }
    }

    fn flush(&self) {}
}

/// From here on the place of a panic goes where all messages go, never to stderr.
pub(crate) fn log_panics() {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    // Tests and the fuzzer want to see theirs.
    if !cfg!(any(test, feature = "fuzz")) && !LOGGED.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
}

/// Sends messages up to `level` (CACHELORA_LOG_ERROR to CACHELORA_LOG_DEBUG) to `callback`; NULL stops
/// them, which is the state at the start. When the call returns, an earlier callback is not called any
/// more. `callback` and `user_data` may be used from any thread until then. Inside the callback it does
/// nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cachelora_set_log_callback(
    callback: cachelora_log_callback,
    user_data: *mut c_void,
    level: u32,
) {
    if CALLING.get() {
        return;
    }
    let mut sink = sink().write().unwrap_or_else(PoisonError::into_inner);
    let filter = match (callback, level) {
        (None, _) | (_, 0) => log::LevelFilter::Off,
        (_, CACHELORA_LOG_ERROR) => log::LevelFilter::Error,
        (_, CACHELORA_LOG_WARN) => log::LevelFilter::Warn,
        (_, CACHELORA_LOG_INFO) => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    *sink = callback.map(|callback| Sink { callback, user_data });
    // A Rust program that links this library statically may have a logger of its own; it keeps it.
    let _ = log::set_logger(&FORWARD);
    log::set_max_level(filter);
}
