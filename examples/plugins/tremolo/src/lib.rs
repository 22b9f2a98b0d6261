//! `tremolo`: an example of a plugin in Rust, which foldback loads as a shared library.
//!
//! ```text
//! cargo build --release -p foldback-example-tremolo
//! foldback serve --config examples/plugins/tremolo/tremolo.toml
//! ```

use std::f32::consts::TAU;

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Ramp, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind, StageReport, amplitude_to_db, db_to_amplitude,
};

// The one line that a plugin has more than a stage that is built in.
foldback_plugin_abi::export!(KIND);

const RATE_HZ: ParamSpec =
    ParamSpec::float("rate_hz", "Hz", 0.1, 20.0, 5.0, "How often it goes up and down.");
const DEPTH_DB: ParamSpec =
    ParamSpec::float("depth_db", "dB", 0.0, 40.0, 6.0, "How much it goes down.").live();

/// `{ kind = "tremolo", rate_hz = 5 }`
pub const KIND: StageKind = StageKind {
    name: "tremolo",
    about: "Makes the signal louder and quieter in turn, as guitar amplifiers do.",
    params: &[RATE_HZ, DEPTH_DB],
    build: &build,
};

// Runs on the control side: may allocate, may fail.
fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let step = TAU * params.float(&RATE_HZ) / SAMPLE_RATE_HZ as f32;
    Ok(Box::new(Tremolo { phase: 0.0, step, floor: Ramp::new(floor(params)), gain: 1.0 }))
}

fn floor(params: &Params) -> f32 {
    db_to_amplitude(-params.float(&DEPTH_DB))
}

struct Tremolo {
    /// Radians; each sample adds `step`.
    phase: f32,
    step: f32,
    /// The gain where it is quietest.
    floor: Ramp,
    /// The gain of the last sample.
    gain: f32,
}

impl Stage for Tremolo {
    // Runs on the media side: never allocates, locks, logs, blocks or panics.
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        let at_start = (self.phase, self.floor);
        for plane in block.planes_mut() {
            (self.phase, self.floor) = at_start;
            for sample in plane {
                let down = 0.5 - 0.5 * self.phase.cos();
                self.gain = 1.0 - down * (1.0 - self.floor.next());
                *sample *= self.gain;
                self.phase = (self.phase + self.step) % TAU;
            }
        }
    }

    // A ramp goes to the new value over 20 ms: a step would click.
    fn adjust(&mut self, params: &Params) {
        self.floor.aim(floor(params));
    }

    fn report(&self, report: &mut StageReport) {
        report.add("gain_db", amplitude_to_db(self.gain));
    }
}
