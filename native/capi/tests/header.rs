//! The checked-in header is what the sources say.
//!
//! `CACHELORA_UPDATE_HEADER=1 cargo test -p cachelora-capi --test header` writes it anew.

use std::path::Path;

#[test]
fn the_header_has_not_drifted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut generated = Vec::new();
    cbindgen::Builder::new().with_crate(root).with_config(config).generate().unwrap().write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    let path = root.join("include/cachelora.h");
    if std::env::var_os("CACHELORA_UPDATE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == generated,
        "include/cachelora.h differs from the sources; write it anew with\n\
         CACHELORA_UPDATE_HEADER=1 cargo test -p cachelora-capi --test header"
    );
}
