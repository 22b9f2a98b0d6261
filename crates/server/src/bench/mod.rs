//! `foldback bench`: what chains cost on this machine.

mod report;
pub(crate) mod voice;

use std::path::PathBuf;

use foldback_chain::ChainSpec;
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, SAMPLE_RATE_HZ, StageFormat};

use crate::config_file;
use crate::offline::{Costs, OfflineChain};
use crate::process::AudioFile;
use report::{ChainReport, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct BenchOptions {
    /// Which chain, or `all`.
    #[arg(default_value = ALL)]
    chain: String,
    /// The TOML file with the chains; without it, the built-in conference chain.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The sound to measure with, a WAV or FLAC file; stereo is mixed down, since microphones are
    /// mono here.
    ///
    /// Without it a voice with noise and echo is made up: always the same, with the far end that
    /// `echo-cancel` needs. A file has no far end, and is repeated where it is short.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// How much sound to send through each chain after it has warmed up.
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const ALL: &str = "all";

/// Runs the command.
///
/// # Errors
/// A sentence for the operator.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(options: &BenchOptions) -> Result<(), String> {
    let chains = match options.chain.as_str() {
        ALL => config_file::read_or_built_in(options.config.as_deref())?.chains,
        name => vec![config_file::chain_of(options.config.as_deref(), Some(name))?],
    };
    let sound = Sound::new(options)?;
    let blocks = options.seconds as usize * BLOCKS_PER_SECOND;
    let chains = chains.iter().map(|spec| measure(spec, &sound, blocks));
    let report = Report { seconds: options.seconds, chains: chains.collect::<Result<_, _>>()? };
    match options.json {
        true => println!("{}", report.json()),
        false => print!("{}", report.text()),
    }
    Ok(())
}

const BLOCKS_PER_SECOND: usize = SAMPLE_RATE_HZ as usize / BLOCK_SAMPLES;

/// What stages need until they sound as they will go on sounding is also what they need until they
/// cost what they will go on costing; at least a second, for caches and clock rates.
fn measure(spec: &ChainSpec, sound: &Sound, blocks: usize) -> Result<ChainReport, String> {
    let mut chain = OfflineChain::build(spec, spec.format)
        .map_err(|error| format!("chain {}: {error}", spec.name))?;
    let warm_up = chain.warm_up_blocks().max(BLOCKS_PER_SECOND);
    let stages = spec.stages().count();
    let stereo = spec.format == StageFormat::STEREO;
    let mut audio = if stereo { AudioBuffer::stereo() } else { AudioBuffer::mono() };
    let mut costs = Costs::new(stages, warm_up);
    for number in 0..warm_up + blocks {
        if number == warm_up {
            costs = Costs::new(stages, blocks);
        }
        let (microphone, far_end) = sound.block(number);
        audio.block().planes_mut().for_each(|plane| plane.copy_from_slice(microphone));
        chain.process(&mut audio, far_end, &mut costs);
    }
    Ok(ChainReport::new(spec, &chain, costs))
}

/// What goes through the chains: whole blocks, again and again.
struct Sound {
    microphone: Vec<f32>,
    far_end: Option<Vec<f32>>,
}

impl Sound {
    fn new(options: &BenchOptions) -> Result<Self, String> {
        let Some(file) = &options.input else {
            // A multiple of the time after which the voices repeat their pauses.
            let far_end = voice::voice(210.0, 12 * SAMPLE_RATE_HZ as usize);
            return Ok(Self { microphone: voice::microphone(&far_end), far_end: Some(far_end) });
        };
        let mut microphone = AudioFile::read(file)?.into_mono_48k()?;
        microphone.resize(microphone.len().next_multiple_of(BLOCK_SAMPLES), 0.0);
        Ok(Self { microphone, far_end: None })
    }

    /// Block `number` of the microphone and of the far end.
    fn block(&self, number: usize) -> (&[f32], Option<&[f32]>) {
        let from = number * BLOCK_SAMPLES % self.microphone.len();
        let samples = from..from + BLOCK_SAMPLES;
        let far_end = self.far_end.as_ref().map(|far_end| &far_end[samples.clone()]);
        (&self.microphone[samples], far_end)
    }
}
