//! The media side of this crate never allocates through Rust. (What the C++ library does is not
//! seen here; it is measured in the README.)

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use foldback_plugin_webrtc::KINDS;
use foldback_stage::{AudioBuffer, BlockContext, StageReport};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn no_stage_allocates_while_it_runs() {
    for kind in KINDS {
        let mut stage = common::stage(kind, &[]);
        let mut audio = AudioBuffer::mono();
        let speech = common::speech_like(1, -25.0, common::SECOND);
        assert_no_alloc(|| {
            for block in speech.chunks_exact(480) {
                audio.plane_mut(0).copy_from_slice(block);
                let mut cx = BlockContext { far_end: Some(block), ..BlockContext::default() };
                stage.process(&mut audio.block(), &mut cx);
                stage.idle(&mut cx);
                stage.report(&mut StageReport::default());
            }
        });
    }
}
