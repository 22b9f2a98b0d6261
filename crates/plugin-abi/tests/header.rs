//! The header that C plugins include is what the structures say.

use std::path::Path;

/// `UPDATE_HEADER=1 cargo test -p foldback-plugin-abi --test header` writes it anew.
#[test]
fn the_header_in_the_repository_is_the_one_that_is_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("a valid file");
    let generator = cbindgen::Builder::new().with_config(config);
    let header = generator.with_src(folder.join("src/ffi.rs")).generate().expect("valid Rust");
    let mut generated = Vec::new();
    header.write(&mut generated);

    let file = folder.join("include/foldback_plugin.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&file, &generated).expect("writes");
    }
    let kept = std::fs::read_to_string(&file).expect("the header is there");
    let generated = String::from_utf8(generated).expect("text");
    assert!(
        kept == generated,
        "not what is generated now; UPDATE_HEADER=1 writes it:\n{generated}"
    );
}
