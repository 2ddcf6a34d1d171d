use super::*;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

fn explicit(path: &Path) -> Search {
    Search { explicit: Some(path.to_owned()), site_packages: Vec::new() }
}

/// Compiles a shared library from C source; a C compiler is needed to build the project anyway.
fn shared_library(source: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let code = directory.path().join("library.c");
    fs::write(&code, source).unwrap();
    let library = directory.path().join("libonnxruntime.so.1.2.3");
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code).status().unwrap();
    assert!(status.success());
    (directory, library)
}

/// A library that answers OrtGetApiBase and reports `version`.
fn runtime_of_version(version: &str) -> (TempDir, PathBuf) {
    shared_library(&format!(
        "struct base {{ const void *(*get_api)(unsigned); const char *(*version)(void); }};
         static const void *get_api(unsigned v) {{ (void)v; return 0; }}
         static const char *version(void) {{ return \"{version}\"; }}
         static const struct base base = {{ get_api, version }};
         const struct base *OrtGetApiBase(void) {{ return &base; }}"
    ))
}

#[test]
fn a_missing_library_lists_what_was_tried() {
    let error = find(&explicit(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
    assert!(
        matches!(&error, Error::RuntimeNotFound { tried } if tried.contains("/nowhere/libonnxruntime.so")),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_library_is_invalid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libonnxruntime.so");
    fs::write(&path, "not a library").unwrap();
    let error = find(&explicit(&path)).unwrap_err();
    assert!(matches!(&error, Error::RuntimeInvalid { path: found, .. } if *found == path), "{error}");
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("libonnxruntime.so");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = find(&explicit(&path)).unwrap_err();
    assert!(
        matches!(&error, Error::RuntimeInvalid { problem, .. } if problem == "is no regular file"),
        "{error}"
    );
}

#[test]
fn another_library_is_invalid() {
    let (_directory, path) = shared_library("int something_else(void) { return 1; }");
    let error = find(&explicit(&path)).unwrap_err();
    assert!(
        matches!(&error, Error::RuntimeInvalid { problem, .. } if problem.contains("OrtGetApiBase")),
        "{error}"
    );
}

#[test]
fn an_old_runtime_is_too_old() {
    let (_directory, path) = runtime_of_version("1.10.2");
    let error = find(&explicit(&path)).unwrap_err();
    assert!(
        matches!(&error, Error::RuntimeTooOld { found, oldest: OLDEST_MINOR, .. } if found == "1.10.2"),
        "{error}"
    );
}

#[test]
fn a_version_that_is_none_is_invalid() {
    for version in ["", "banana", "2.0.0"] {
        let (_directory, path) = runtime_of_version(version);
        let error = find(&explicit(&path)).unwrap_err();
        assert!(matches!(&error, Error::RuntimeInvalid { .. }), "{version:?}: {error}");
    }
}

#[test]
fn a_wheel_with_an_unusable_library_is_passed_over_but_remembered() {
    let (_library_directory, library) = runtime_of_version("1.3.0");
    let site_packages = tempfile::tempdir().unwrap();
    let capi = site_packages.path().join("onnxruntime").join("capi");
    fs::create_dir_all(&capi).unwrap();
    let copy = capi.join("libonnxruntime.so.1.3.0");
    fs::copy(library, &copy).unwrap();
    let search = Search { explicit: None, site_packages: vec![site_packages.path().to_owned()] };
    let tried = match find(&search) {
        Ok(found) => {
            assert_ne!(found.path, copy);
            found.tried
        }
        Err(Error::RuntimeTooOld { path, tried, .. }) => {
            assert_eq!(path, copy);
            tried
        }
        Err(other) => panic!("{other}"),
    };
    assert!(tried.contains(&copy.display().to_string()), "{tried}");
}

#[cfg(unix)]
#[test]
fn a_world_writable_environment_above_the_executable_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let executable = directory.path().join("program");
    fs::write(&executable, "").unwrap();
    let environment = directory.path().join(".venv");
    fs::create_dir(&environment).unwrap();
    fs::set_permissions(&environment, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(equally_trusted(&environment, &executable));
    fs::set_permissions(&environment, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(!equally_trusted(&environment, &executable));
}
