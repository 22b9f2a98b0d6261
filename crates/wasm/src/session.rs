//! A chain that runs in a page.

use std::collections::BTreeMap;

use foldback_chain::{Chain, ChainBuildError, Change, NoProbe, StageSpec};
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, CaptureTimeline, StageFormat, amplitude_to_db,
    samples_to_ms,
};
use serde::Serialize;

use crate::request::{Part, Request};

/// A chain and the block that goes through it. Until it is given a chain, sound passes as it came.
#[derive(Debug)]
pub struct Session {
    audio: AudioBuffer,
    format: StageFormat,
    /// Before the mix and after it, or none: nothing that the ones know of a voice is told to the
    /// others, as on the server.
    sides: Vec<Side>,
    bypassed: bool,
    position_samples: u64,
    /// Mean squares since the last report, before the chain and after it.
    squares: [f32; 2],
    blocks: u32,
}

#[derive(Debug)]
struct Side {
    specs: Vec<StageSpec>,
    chain: Chain,
}

/// Which of the stages run here, and how late each makes a voice.
#[derive(Debug, PartialEq, Serialize)]
pub struct Taken {
    /// In the order in which they run; those that do not run here are not among them.
    pub stages: Vec<TakenStage>,
}

/// A stage that runs here.
#[derive(Debug, PartialEq, Serialize)]
pub struct TakenStage {
    /// Its name.
    pub name: String,
    /// Its algorithmic delay.
    pub delay_ms: f32,
}

/// What is heard and read just now.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    /// Root mean square since the last report; -120 is silence.
    pub before_dbfs: f32,
    /// The same after the chain.
    pub after_dbfs: f32,
    /// By stage and reading.
    pub readings: BTreeMap<String, BTreeMap<&'static str, f32>>,
    /// Stages that were taken out for what they did.
    pub faults: u64,
}

impl Side {
    fn build(specs: Vec<StageSpec>, format: StageFormat) -> Result<Self, ChainBuildError> {
        Ok(Self { chain: Chain::build(&specs, format)?, specs })
    }

    /// Goes on with other stages, without a click.
    ///
    /// # Errors
    /// A sentence, where changes come faster than they can be made.
    fn go_on(&mut self, specs: Vec<StageSpec>, change: Option<Change>) -> Result<(), String> {
        while self.chain.take_over().is_some() {}
        if let Some(change) = change {
            let full = |_| "So many changes are under way that no more can wait.".to_owned();
            self.chain.change(change).map_err(full)?;
            self.specs = specs;
        }
        Ok(())
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            audio: AudioBuffer::mono(),
            format: StageFormat::MONO,
            sides: Vec::new(),
            bypassed: false,
            position_samples: 0,
            squares: [0.0; 2],
            blocks: 0,
        }
    }
}

impl Session {
    /// Goes on with that chain: without a click, unless it has other channels; at once where no sound
    /// went through yet. Allocates.
    ///
    /// # Errors
    /// A sentence; what ran runs on.
    pub fn set(&mut self, request: &Request) -> Result<Taken, String> {
        let format = request.format()?;
        let (input, output) = (request.side(Part::Input)?, request.side(Part::Output)?);
        let told = |error: ChainBuildError| format!("{error}.");
        let sounds = format == self.format && self.position_samples > 0;
        if let ([before, after], true) = (&mut self.sides[..], sounds) {
            let change =
                |side: &Side, specs: &[_]| Change::build(&side.specs, specs, format).map_err(told);
            let (of_input, of_output) = (change(before, &input)?, change(after, &output)?);
            before.go_on(input, of_input)?;
            after.go_on(output, of_output)?;
        } else {
            let side = |specs| Side::build(specs, format).map_err(told);
            self.sides = vec![side(input)?, side(output)?];
            self.format = format;
            self.audio =
                if format.channels == 2 { AudioBuffer::stereo() } else { AudioBuffer::mono() };
        }
        self.bypass(self.bypassed);
        Ok(self.taken())
    }

    /// Lets sound pass by all stages from now on, as late as through them, or go through again. It fades
    /// over 20 ms.
    pub fn bypass(&mut self, bypassed: bool) {
        self.bypassed = bypassed;
        self.sides.iter_mut().for_each(|side| side.chain.rest_optional(bypassed));
    }

    /// The samples of one channel of the block, [`BLOCK_SAMPLES`] of them: to write, and to read after
    /// [`Self::process`]. Of a channel that is not there, the first.
    pub fn plane_mut(&mut self, channel: usize) -> &mut [f32; BLOCK_SAMPLES] {
        let channel = if channel < self.audio.channels() { channel } else { 0 };
        self.audio.plane_mut(channel)
    }

    /// Takes the block through the chain, in place.
    pub fn process(&mut self) {
        let timeline =
            CaptureTimeline { position_samples: self.position_samples, ..Default::default() };
        self.position_samples += BLOCK_SAMPLES as u64;
        self.audio.sanitize();
        self.squares[0] += self.audio.rms().powi(2);
        let mut cx = BlockContext { timeline, ..BlockContext::default() };
        for side in &mut self.sides {
            side.chain.process(&mut self.audio, &mut cx, &mut NoProbe);
            cx = BlockContext::default();
        }
        self.squares[1] += self.audio.rms().powi(2);
        self.blocks += 1;
    }

    /// What is heard and read since the last report. Allocates.
    pub fn report(&mut self) -> Report {
        let blocks = std::mem::take(&mut self.blocks).max(1) as f32;
        let squares = std::mem::take(&mut self.squares);
        let [before_dbfs, after_dbfs] =
            squares.map(|square| amplitude_to_db((square / blocks).sqrt()));
        let mut readings = BTreeMap::new();
        for side in &self.sides {
            for (stage, spec) in side.specs.iter().enumerate() {
                let read = side.chain.report(stage);
                let read: BTreeMap<_, _> =
                    read.readings().map(|reading| (reading.name, reading.value)).collect();
                if !read.is_empty() {
                    readings.insert(spec.name.clone(), read);
                }
            }
        }
        let faults = self.sides.iter().map(|side| side.chain.faults()).sum();
        Report { before_dbfs, after_dbfs, readings, faults }
    }

    fn taken(&self) -> Taken {
        let side = |side: &Side| -> Vec<_> {
            let stages = side.specs.iter().zip(side.chain.stage_delays());
            let taken = stages.map(|(spec, delay)| TakenStage {
                name: spec.name.clone(),
                delay_ms: samples_to_ms(delay),
            });
            taken.collect()
        };
        Taken { stages: self.sides.iter().flat_map(side).collect() }
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage_testkit::measure::rms_dbfs;
    use foldback_stage_testkit::signal::{speech_like, white_noise};
    use serde_json::{Value, json};

    use super::*;

    fn request(stages: Value) -> Request {
        serde_json::from_value(json!({ "channels": 1, "stages": stages })).expect("a request")
    }

    fn stage(name: &str, kind: &str, part: &str, params: Value) -> Value {
        json!({ "name": name, "kind": kind, "part": part, "enabled": true, "params": params })
    }

    fn through(session: &mut Session, signal: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        for block in signal.chunks_exact(BLOCK_SAMPLES) {
            session.plane_mut(0).copy_from_slice(block);
            session.process();
            out.extend_from_slice(session.plane_mut(0));
        }
        out
    }

    #[test]
    fn stages_run_in_their_order_and_those_of_the_server_alone_are_left_out() {
        let mut session = Session::default();
        let taken = session.set(&request(json!([
            stage(
                "soft",
                "gain",
                "input",
                json!([{ "name": "gain_db", "value": -20, "unit": "dB" }])
            ),
            stage("echo-cancel", "echo-cancel", "input", json!([])),
            stage("mix", "mix", "mix", json!([{ "name": "max_talkers", "value": 6 }])),
            stage("limiter", "limiter", "output", json!([])),
        ])));
        let taken = taken.expect("a chain").stages;
        let names: Vec<_> = taken.iter().map(|stage| &*stage.name).collect();
        assert_eq!(names, ["soft", "limiter"]);
        assert!(taken[1].delay_ms > 0.0, "{taken:?}");
        let noise = white_noise(1, -20.0, 1.0);
        let out = through(&mut session, &noise);
        assert!((rms_dbfs(&out[4_800..]) + 40.0).abs() < 0.2, "{}", rms_dbfs(&out[4_800..]));
        let report = session.report();
        assert!((report.before_dbfs - report.after_dbfs - 20.0).abs() < 0.5, "{report:?}");
        assert!(report.readings.contains_key("limiter"), "{report:?}");
    }

    #[test]
    fn what_passes_by_is_as_late_as_what_goes_through_and_otherwise_as_it_came() {
        let mut session = Session::default();
        let denoise = json!([stage("denoise", "denoise", "input", json!([]))]);
        session.set(&request(denoise)).expect("a chain");
        session.bypass(true);
        let voice = speech_like(1, -26.0, 1.0);
        let out = through(&mut session, &voice);
        assert_eq!(out[9_600..], voice[9_600 - BLOCK_SAMPLES..voice.len() - BLOCK_SAMPLES]);
        session.bypass(false);
        let out = through(&mut session, &white_noise(2, -40.0, 3.0));
        assert!(rms_dbfs(&out[96_000..]) < -60.0, "{} dBFS", rms_dbfs(&out[96_000..]));
    }

    #[test]
    fn a_mistake_is_told_and_what_ran_runs_on() {
        let mut session = Session::default();
        let gain = |value: Value| {
            let params = json!([{ "name": "gain_db", "value": value }]);
            request(json!([stage("gain", "gain", "input", params)]))
        };
        session.set(&gain(json!(-20))).expect("a chain");
        let told = session.set(&gain(json!("loud"))).expect_err("no number");
        assert_eq!(
            told,
            "stage `gain`: `gain_db` is \"loud\", must be a number from -60 to 30 dB."
        );
        let channels = Request { channels: 3, ..gain(json!(0)) };
        assert_eq!(session.set(&channels), Err("`channels` is 3, must be 1 or 2.".to_owned()));
        let out = through(&mut session, &white_noise(1, -20.0, 0.5));
        assert!((rms_dbfs(&out[480..]) + 40.0).abs() < 0.2, "{}", rms_dbfs(&out[480..]));
    }

    #[test]
    fn stereo_has_two_planes_and_stays_stereo() {
        let mut session = Session::default();
        let panned = stage("pan", "pan", "input", json!([{ "name": "position", "value": -1 }]));
        let request = Request { channels: 2, ..request(json!([panned])) };
        session.set(&request).expect("a chain");
        for _ in 0..20 {
            session.plane_mut(0).fill(0.1);
            session.plane_mut(1).fill(0.1);
            session.process();
        }
        let right = session.plane_mut(1)[479];
        assert!(session.plane_mut(0)[479] > 0.05 && right.abs() < 0.01, "right is {right}");
    }
}
