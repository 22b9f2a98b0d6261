//! The stage that all kinds of this crate are.
//!
//! A recursive filter whose coefficients jump clicks, and one whose coefficients glide can ring far
//! above its signal on the way. So a change makes a second filter: it runs unheard beside the first
//! until it has settled, is then faded in over 20 ms, and takes the first one's place. Whatever the
//! change, what is heard lies between what two constant filters make of the signal.

use biquad::Errors;
use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, MAX_CHANNELS, Params, Ramp, Stage,
};

use crate::cascade::{Cascade, Tuning};

/// How a kind's parameters become a filter. Never allocates.
pub(crate) type Tune = fn(&Params) -> Result<Tuning, Errors>;

/// Builds the stage that filters as `tune` says.
pub(crate) fn build(tune: Tune, params: &Params) -> Result<Box<dyn Stage>, BuildError> {
    let tuning =
        tune(params).map_err(|error| BuildError::new(format!("no such filter: {error:?}")))?;
    let running = [Cascade::new(&tuning); MAX_CHANNELS];
    Ok(Box::new(Filter { tune, tuning, running, coming: None, wanted: None }))
}

#[derive(Clone)]
struct Filter {
    tune: Tune,
    /// Of the filter that runs or, if one comes, of that.
    tuning: Tuning,
    running: [Cascade; MAX_CHANNELS],
    coming: Option<Coming>,
    /// What comes next.
    wanted: Option<Tuning>,
}

impl Stage for Filter {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        if self.coming.is_none()
            && let Some(tuning) = self.wanted.take()
        {
            self.tuning = tuning;
            self.coming = Some(Coming::new(&tuning));
        }
        let Some(coming) = &mut self.coming else {
            for (plane, cascade) in block.planes_mut().zip(&mut self.running) {
                cascade.run(plane);
            }
            return;
        };
        coming.run(block, &mut self.running);
        if coming.is_here() {
            self.running = coming.channels;
            self.coming = None;
        }
    }

    fn warm_up_blocks(&self) -> usize {
        self.tuning.settle_blocks()
    }

    fn adjust(&mut self, params: &Params) {
        if let Ok(tuning) = (self.tune)(params) {
            self.wanted = (tuning != self.tuning).then_some(tuning);
        }
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}

/// The filter that takes over.
#[derive(Clone)]
struct Coming {
    channels: [Cascade; MAX_CHANNELS],
    unheard_blocks: usize,
    share: Ramp,
}

impl Coming {
    /// A change is heard 100 ms later at the latest. What has not settled by then, a filter at the
    /// lower end of hearing, goes on settling while it is faded in.
    const MAX_UNHEARD_BLOCKS: usize = 10;

    fn new(tuning: &Tuning) -> Self {
        Self {
            channels: [Cascade::new(tuning); MAX_CHANNELS],
            unheard_blocks: tuning.settle_blocks().min(Self::MAX_UNHEARD_BLOCKS),
            share: Ramp::new(0.0),
        }
    }

    fn run(&mut self, block: &mut AudioBlock<'_>, running: &mut [Cascade; MAX_CHANNELS]) {
        if self.unheard_blocks == 0 {
            self.share.aim(1.0);
        }
        self.unheard_blocks = self.unheard_blocks.saturating_sub(1);
        let at_start = self.share;
        for ((plane, old), new) in block.planes_mut().zip(running).zip(&mut self.channels) {
            let mut filtered = [0.0; BLOCK_SAMPLES];
            filtered.copy_from_slice(plane);
            new.run(&mut filtered);
            old.run(plane);
            self.share = at_start;
            for (sample, filtered) in plane.iter_mut().zip(filtered) {
                *sample += rounded(self.share.next()) * (filtered - *sample);
            }
        }
    }

    fn is_here(&self) -> bool {
        self.share.steady() == Some(1.0)
    }
}

/// From 0 to 1 without the corners of a straight line, which are heard under a low tone.
fn rounded(share: f32) -> f32 {
    share * share * (3.0 - 2.0 * share)
}
