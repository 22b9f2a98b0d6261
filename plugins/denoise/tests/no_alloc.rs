//! The media side of this crate never allocates.

mod common;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use foldback_plugin_denoise::denoise::{KIND, prime_thread};
use foldback_stage::{AudioBuffer, BlockContext, Stage, StageReport};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

fn run_without_allocating(mut stage: Box<dyn Stage>) {
    let mut audio = AudioBuffer::mono();
    let speech = common::speech_like(1, -25.0, common::SECOND);
    assert_no_alloc(|| {
        for block in speech.chunks_exact(480) {
            audio.plane_mut(0).copy_from_slice(block);
            stage.process(&mut audio.block(), &mut BlockContext::default());
            stage.idle(&mut BlockContext::default());
            stage.report(&mut StageReport::default());
        }
    });
}

#[test]
fn it_does_not_allocate_on_the_thread_it_was_built_on() {
    run_without_allocating(common::stage(&KIND, &[]));
}

#[test]
fn it_does_not_allocate_on_another_thread_that_was_primed() {
    let stage = common::stage(&KIND, &[]);
    let media = std::thread::spawn(move || {
        prime_thread();
        run_without_allocating(stage);
    });
    media.join().expect("no panic");
}
