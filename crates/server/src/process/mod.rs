//! `foldback process`: a sound file through a chain, offline.

mod audio_file;
mod render;
mod report;
mod resample;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use foldback_chain::ChainSpec;
use foldback_stage::{SAMPLE_RATE_HZ, StageFormat};

pub(crate) use audio_file::{AudioFile, SampleType};
pub(crate) use resample::resample;

use crate::config_file;
use crate::offline::{Costs, OfflineChain};
use render::render;
use report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct ProcessOptions {
    /// The sound: a WAV or FLAC file, mono or stereo, of 8000 to 192000 Hz.
    ///
    /// A stereo file runs any chain in stereo, a mono one those with `channels = 2`. Other rates than 48000 Hz are resampled on the way in
    /// and back on the way out.
    input: PathBuf,
    /// The WAV file to write, with the rate, the channels and the sample type of INPUT; stereo, if the
    /// chain is.
    output: PathBuf,
    /// The TOML file with the chain; without it, the built-in conference chain.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which chain of the file; needed where it has several.
    #[arg(long, value_name = "NAME")]
    chain: Option<String>,
    /// What was played beside the microphone while INPUT was recorded, for `echo-cancel`.
    ///
    /// A WAV or FLAC file of any of the same rates that begins at the same instant as INPUT; stereo
    /// is mixed down. After its end there is silence.
    #[arg(long, value_name = "FILE")]
    far_end: Option<PathBuf>,
    /// Give the chain the far end by so many ms later: the known delay of the echo, less 20 ms.
    #[arg(long, value_name = "N", requires = "far_end", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=10_000), allow_negative_numbers = true)]
    delay_ms: u32,
    /// Print what each stage cost, to standard output: for people, or for machines.
    #[arg(long, value_name = "FORMAT")]
    stats: Option<StatsFormat>,
    /// Keep the delay of the chain.
    ///
    /// OUTPUT then begins as late as the chain is, and is longer by that. Otherwise it lines up
    /// with INPUT sample by sample and has the same length.
    #[arg(long)]
    no_compensate: bool,
    /// Overwrite OUTPUT where there is such a file.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StatsFormat {
    Table,
    Json,
}

/// Runs the command.
///
/// # Errors
/// A sentence for the operator. After a stage that broke the sound is written all the same.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
pub(crate) fn run(options: &ProcessOptions) -> Result<(), String> {
    let spec = config_file::chain_of(options.config.as_deref(), options.chain.as_deref())?;
    let sound = AudioFile::read(&options.input)?;
    let far_end = options.far_end.as_deref().map(|file| read_far_end(file, options.delay_ms));
    let far_end = far_end.transpose()?;
    check_output(&options.output, options.force)?;

    let processed = process(&spec, sound, far_end, !options.no_compensate)?;
    let clipped_samples = processed.sound.write(&options.output)?;
    let report = Report::new(&spec, processed, clipped_samples, options);
    if let Some(warning) = report.warning() {
        eprintln!("warning: {warning}");
    }
    match options.stats {
        None => println!("{}", report.summary()),
        Some(StatsFormat::Table) => print!("{}", report.table()),
        Some(StatsFormat::Json) => println!("{}", report.json()),
    }
    report.faults().map_or(Ok(()), Err)
}

/// Sound that went through a chain, and how it went.
struct Processed {
    sound: AudioFile,
    chain: OfflineChain,
    costs: Costs,
    /// Of the sound that came.
    duration_s: f64,
}

/// `far_end` is mono at 48 kHz.
fn process(
    spec: &ChainSpec,
    mut sound: AudioFile,
    far_end: Option<Vec<f32>>,
    compensate: bool,
) -> Result<Processed, String> {
    if spec.format == StageFormat::STEREO {
        sound.spread();
    }
    let format = StageFormat { channels: sound.planes.len() };
    let mut chain = OfflineChain::build(spec, format).map_err(|error| error.to_string())?;
    let (frames, duration_s, rate_hz) = (sound.frames(), sound.duration_s(), sound.rate_hz);
    let mut planes = resample(sound.planes, rate_hz, SAMPLE_RATE_HZ)?;
    let costs = render(&mut chain, &mut planes, far_end, compensate);
    let mut planes = resample(planes, SAMPLE_RATE_HZ, rate_hz)?;
    if compensate {
        // Both ways of resampling round the length up.
        planes.iter_mut().for_each(|plane| plane.truncate(frames));
    }
    let sound = AudioFile { planes, rate_hz, samples: sound.samples };
    Ok(Processed { sound, chain, costs, duration_s })
}

/// A far end as chains get it: mono, 48 kHz, later by `delay_ms`.
fn read_far_end(file: &Path, delay_ms: u32) -> Result<Vec<f32>, String> {
    let far_end = AudioFile::read(file)?.into_mono_48k()?;
    let mut delayed = vec![0.0; (delay_ms * SAMPLE_RATE_HZ / 1000) as usize];
    delayed.extend(far_end);
    Ok(delayed)
}

/// Before anything is processed, so that nothing is processed in vain.
fn check_output(output: &Path, force: bool) -> Result<(), String> {
    let shown = output.display();
    let is_wav = output.extension().is_some_and(|end| end.eq_ignore_ascii_case("wav"));
    if !is_wav {
        return Err(format!("{shown} must end in .wav: that is what is written"));
    }
    if output.exists() && !force {
        return Err(format!("{shown} is there already: --force overwrites it"));
    }
    match output.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => Err(format!("there is no folder {}", folder.display())),
        None => Ok(()),
    }
}
