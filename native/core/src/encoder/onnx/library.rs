//! Finding ONNX Runtime, and making sure that it can be used before anything depends on it.
//!
//! The places, in order:
//!
//! 1. an explicit path: the caller's option, else the variable `CACHELORA_ONNXRUNTIME`. Nobody names a
//!    path to see another one used, so nothing else is tried after it;
//! 2. an installed `onnxruntime` Python wheel: directories that the caller hints at (the Python
//!    binding knows its own site-packages), `$VIRTUAL_ENV`, `$CONDA_PREFIX`, a `.venv` beside or above
//!    the running executable, the installation of the `python3` on `PATH`;
//! 3. the system's library search path.
//!
//! The first candidate that passes the preflight is used, for the whole life of the process.

use std::env;
use std::ffi::CStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::{Error, Result};

/// Which place a library came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The caller's option or `CACHELORA_ONNXRUNTIME`.
    Explicit,
    /// An installed Python wheel.
    Wheel,
    /// The system's library search path.
    System,
}

impl Source {
    /// The name that `cachelora doctor` prints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit path",
            Self::Wheel => "Python wheel",
            Self::System => "system library",
        }
    }
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The library file; nothing else is tried when it is given.
    pub explicit: Option<PathBuf>,
    /// Directories that may hold an installed wheel, tried before the other wheels: site-packages
    /// directories.
    pub site_packages: Vec<PathBuf>,
}

/// A library that passed the preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its path, or its bare name where the system's loader found it.
    pub path: PathBuf,
    /// Where it came from.
    pub source: Source,
    /// ONNX Runtime's version, for instance `1.32.0`.
    pub version: String,
    /// One line for each candidate that was looked at, the last one being this library.
    pub tried: String,
}

/// The oldest minor version of ONNX Runtime 1 that can be used.
pub const OLDEST_MINOR: u32 = ort::MINOR_VERSION;

const EXPLICIT_VARIABLE: &str = "CACHELORA_ONNXRUNTIME";

#[cfg(target_os = "macos")]
const SYSTEM_NAMES: [&str; 1] = ["libonnxruntime.dylib"];
#[cfg(windows)]
const SYSTEM_NAMES: [&str; 1] = ["onnxruntime.dll"];
#[cfg(not(any(target_os = "macos", windows)))]
const SYSTEM_NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// Finds the library that would be used, without committing the process to it.
///
/// # Errors
/// [`Error::RuntimeNotFound`] if there is none, [`Error::RuntimeInvalid`] or
/// [`Error::RuntimeTooOld`] if none of those found can be used.
pub fn find(search: &Search) -> Result<Library> {
    let mut tried = String::new();
    let mut first_failure = None;
    for (source, path) in candidates(search) {
        write!(tried, "  {} ({}): ", path.display(), source.name()).expect("a String takes every write");
        match preflight(source, &path) {
            Ok(version) => {
                tried.push_str(&format!("ONNX Runtime {version}"));
                return Ok(Library { path, source, version, tried });
            }
            Err(failure) => {
                tried.push_str(&failure.to_string());
                tried.push('\n');
                let absent = matches!(failure, Failure::Absent(_));
                if source == Source::Explicit || (!absent && first_failure.is_none()) {
                    first_failure = Some((path, failure));
                }
            }
        }
    }
    let tried = tried.trim_end().to_owned();
    Err(match first_failure {
        Some((path, Failure::TooOld(found))) => {
            Error::RuntimeTooOld { path, found, oldest: OLDEST_MINOR, tried }
        }
        Some((path, Failure::Unusable(problem))) => Error::RuntimeInvalid { path, problem, tried },
        Some((_, Failure::Absent(_))) | None => Error::RuntimeNotFound { tried },
    })
}

/// The one library and environment of this process.
struct Loaded {
    library: Library,
    environment: Environment,
}

static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Loads the library once for the process and returns it with its environment.
///
/// # Errors
/// As [`find`]; and [`Error::InvalidArgument`] if an explicit path names another library than the one
/// that this process already uses.
pub(super) fn load(search: &Search) -> Result<(Library, Environment)> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Loaded { library, environment }) = &*loaded {
        if let Some(explicit) = &search.explicit
            && !same_file(explicit, &library.path)
        {
            return Err(Error::InvalidArgument(format!(
                "this process already uses ONNX Runtime from {}; one process can load only one, so {} can't be used too",
                library.path.display(),
                explicit.display()
            )));
        }
        return Ok((library.clone(), environment.clone()));
    }
    let library = find(search)?;
    let failed = |problem: String| Error::RuntimeInvalid {
        path: library.path.clone(),
        problem,
        tried: library.tried.clone(),
    };
    let environment = ort::init_from(&library.path)
        .map_err(|error| failed(error.to_string()))?
        .with_name("cachelora")
        .with_telemetry(false)
        .with_logger(std::sync::Arc::new(forward_log))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    // Informational messages of a session are many and of no use to a router's operator.
    environment.set_log_level(ort::logging::LogLevel::Warning);
    log::info!(
        "using ONNX Runtime {} from {} ({})",
        library.version,
        library.path.display(),
        library.source.name()
    );
    *loaded = Some(Loaded { library: library.clone(), environment: environment.clone() });
    Ok((library, environment))
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// ONNX Runtime's messages go where all messages of this crate go: to the `log` facade.
fn forward_log(level: ort::logging::LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    use ort::logging::LogLevel;
    let level = match level {
        LogLevel::Verbose => log::Level::Trace,
        LogLevel::Info => log::Level::Debug,
        LogLevel::Warning => log::Level::Warn,
        LogLevel::Error | LogLevel::Fatal => log::Level::Error,
    };
    log::log!(target: "onnxruntime", level, "{category} {location}: {message}");
}

/// Why a candidate can't be used.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Absent(String),
    #[error("{0}")]
    Unusable(String),
    #[error("ONNX Runtime {0} is too old")]
    TooOld(String),
}

/// Loads a candidate and asks for its version. Never waits: what is no regular file is not opened.
fn preflight(source: Source, path: &Path) -> Result<String, Failure> {
    if source != Source::System {
        match std::fs::metadata(path) {
            Err(error) => return Err(Failure::Absent(error.to_string())),
            Ok(metadata) if !metadata.is_file() => {
                return Err(Failure::Unusable("is no regular file".to_owned()));
            }
            Ok(_) => {}
        }
    }
    // SAFETY: loading a library runs its initialisers. The candidates are ONNX Runtime libraries that
    // the caller names or that are installed with the system or its Python.
    let library = match unsafe { libloading::Library::new(path) } {
        Ok(library) => library,
        Err(error) if source == Source::System => return Err(Failure::Absent(error.to_string())),
        Err(error) => return Err(Failure::Unusable(error.to_string())),
    };
    // SAFETY: the symbol has this type in every release of ONNX Runtime.
    let base =
        unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0") }
            .map_err(|_| Failure::Unusable("does not export OrtGetApiBase".to_owned()))?;
    // SAFETY: OrtGetApiBase takes no argument and returns a pointer to a static structure.
    let base = unsafe { base() };
    if base.is_null() {
        return Err(Failure::Unusable("OrtGetApiBase returned null".to_owned()));
    }
    // SAFETY: `base` is not null, and GetVersionString returns a static, NUL-terminated string.
    let version = unsafe { CStr::from_ptr(((*base).GetVersionString)()) }.to_string_lossy().into_owned();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let verdict = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(1), Some(minor)) if minor >= OLDEST_MINOR => Ok(version),
        (Some(0 | 1), Some(_)) => Err(Failure::TooOld(version)),
        _ => Err(Failure::Unusable(format!(
            "reports version {version:?}, 1.{OLDEST_MINOR} or newer was expected"
        ))),
    };
    if verdict.is_ok() {
        // A library that has started threads must not be unmapped; this one is about to be used anyway.
        std::mem::forget(library);
    }
    verdict
}

fn candidates(search: &Search) -> Vec<(Source, PathBuf)> {
    let explicit = search.explicit.clone().or_else(|| path_variable(EXPLICIT_VARIABLE));
    if let Some(path) = explicit {
        return vec![(Source::Explicit, path)];
    }
    let mut found: Vec<(Source, PathBuf)> = Vec::new();
    let site_packages = search
        .site_packages
        .iter()
        .cloned()
        .chain(python_prefixes().into_iter().flat_map(|prefix| site_packages_of(&prefix)));
    for directory in site_packages {
        for library in libraries_of_wheel(&directory) {
            if !found.iter().any(|(_, path)| *path == library) {
                found.push((Source::Wheel, library));
            }
        }
    }
    found.extend(SYSTEM_NAMES.iter().map(|name| (Source::System, PathBuf::from(name))));
    found
}

fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Roots of Python installations that this process may be said to belong to.
fn python_prefixes() -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(path_variable).collect();
    if let Ok(executable) = env::current_exe() {
        let environments = executable.ancestors().skip(1).map(|directory| directory.join(".venv"));
        prefixes.extend(environments.filter(|environment| equally_trusted(environment, &executable)));
    }
    let on_path =
        env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    // A virtual environment's python3 is a link; its own directory, not the link's target, is the prefix.
    prefixes.extend(
        on_path
            .filter(|directory| directory.join("python3").is_file())
            .filter_map(|directory| directory.parent().map(Path::to_owned))
            .take(1),
    );
    prefixes
}

/// Whether whoever owns the executable, or root, owns `directory` too and nobody else may write to it.
///
/// A library found above an executable runs with its rights. Somebody who may put a `.venv` into a
/// shared directory above it must not be able to choose that library.
#[cfg(unix)]
fn equally_trusted(directory: &Path, executable: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (directory.metadata(), executable.metadata()) {
        (Ok(directory), Ok(executable)) => {
            let world_writable = directory.mode() & 0o002 != 0;
            directory.is_dir()
                && !world_writable
                && (directory.uid() == executable.uid() || directory.uid() == 0)
        }
        _ => false,
    }
}

#[cfg(not(unix))]
fn equally_trusted(directory: &Path, _executable: &Path) -> bool {
    directory.is_dir()
}

fn site_packages_of(prefix: &Path) -> Vec<PathBuf> {
    if cfg!(windows) {
        return vec![prefix.join("Lib").join("site-packages")];
    }
    let mut found = Vec::new();
    for versions in sorted_entries(&prefix.join("lib")) {
        if versions.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")) {
            found.push(versions.join("site-packages"));
        }
    }
    found
}

fn libraries_of_wheel(site_packages: &Path) -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with("libonnxruntime.so")
                || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
                || name == "onnxruntime.dll"
        })
    };
    let directory = site_packages.join("onnxruntime").join("capi");
    let libraries: Vec<PathBuf> = sorted_entries(&directory).into_iter().filter(is_library).collect();
    if libraries.is_empty() {
        // An absent file still becomes a line of the error that says where a wheel was looked for.
        return vec![directory.join(SYSTEM_NAMES[SYSTEM_NAMES.len() - 1])];
    }
    libraries
}

fn sorted_entries(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

#[cfg(test)]
mod tests;
