//! Embeds the chain for browsers anew once it was built: that a file came where none was, nothing else notices.

fn main() {
    println!("cargo::rerun-if-changed=../../web/wasm");
}
