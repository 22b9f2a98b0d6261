//! The functions of the WebAssembly module. One instance of the module is one chain.
//!
//! Text goes over in the module's memory: `chain_text(n)` makes room for `n` bytes and tells where;
//! a function that answers with text returns its length, and `chain_text` of that tells where it is.
//! Memory may move whenever a function that takes or gives text is called, and with it what
//! `chain_plane` told.
#![allow(unsafe_code, reason = "the names of exported functions")]

use std::cell::RefCell;

use serde::Serialize;
use serde_json::json;

use crate::{Request, Session};

#[derive(Default)]
struct Instance {
    session: Session,
    text: Vec<u8>,
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::default();
}

fn with<T>(run: impl FnOnce(&mut Instance) -> T) -> T {
    INSTANCE.with_borrow_mut(run)
}

impl Instance {
    fn answer(&mut self, answer: &impl Serialize) -> usize {
        // Names and numbers always serialise.
        self.text = serde_json::to_vec(answer).unwrap_or_default();
        self.text.len()
    }
}

/// Where text of so many bytes is written, or stands as the answer of that length.
#[unsafe(no_mangle)]
pub extern "C" fn chain_text(bytes: usize) -> *mut u8 {
    with(|it| {
        it.text.resize(bytes, 0);
        it.text.as_mut_ptr()
    })
}

/// Goes on with the chain that the text asks for, a [`Request`] in JSON. Answers with
/// [what was taken](Session::set), or `{"error": "..."}`; then what ran runs on.
#[unsafe(no_mangle)]
pub extern "C" fn chain_set() -> usize {
    with(|it| {
        let request = serde_json::from_slice::<Request>(&it.text);
        let taken = request
            .map_err(|error| format!("The chain cannot be read: {error}."))
            .and_then(|request| it.session.set(&request));
        match taken {
            Ok(taken) => it.answer(&taken),
            Err(error) => it.answer(&json!({ "error": error })),
        }
    })
}

/// Where the 480 samples of a channel are, `f32`.
#[unsafe(no_mangle)]
pub extern "C" fn chain_plane(channel: usize) -> *mut f32 {
    with(|it| it.session.plane_mut(channel).as_mut_ptr())
}

/// Takes the block through the chain, in place.
#[unsafe(no_mangle)]
pub extern "C" fn chain_process() {
    with(|it| it.session.process());
}

/// 1: sound passes by all stages, as late as through them; 0: it goes through.
#[unsafe(no_mangle)]
pub extern "C" fn chain_bypass(bypassed: u32) {
    with(|it| it.session.bypass(bypassed != 0));
}

/// Answers with what is heard and read since the last report.
#[unsafe(no_mangle)]
pub extern "C" fn chain_report() -> usize {
    with(|it| {
        let report = it.session.report();
        it.answer(&report)
    })
}
