//! The media side of this crate never allocates.

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use foldback_plugin_filter::KINDS;
use foldback_stage::{AudioBuffer, BlockContext, StageFormat, StageReport};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn no_stage_allocates_while_it_runs() {
    for kind in KINDS {
        let mut stage = common::stage(kind, StageFormat::STEREO, &[]);
        let mut audio = AudioBuffer::stereo();
        let noise = common::noise(1, 480);
        assert_no_alloc(|| {
            for _ in 0..200 {
                audio.plane_mut(0).copy_from_slice(&noise);
                stage.process(&mut audio.block(), &mut BlockContext::default());
                stage.idle(&mut BlockContext::default());
                stage.report(&mut StageReport::default());
            }
        });
    }
}
