//! Whole signals through a chain, block by block.

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES};
use indicatif::{ProgressBar, ProgressStyle};

use crate::offline::{Costs, OfflineChain};

/// One or two channels at 48 kHz through `chain`, in place, with a bar on the terminal if there is
/// one.
///
/// What the chain holds back is pushed out by silence. `compensate` drops the chain's delay from
/// the start, so that the length stays; else the signal is longer by it. After the end of the far
/// end there is silence.
pub(super) fn render(
    chain: &mut OfflineChain,
    planes: &mut [Vec<f32>],
    mut far_end: Option<Vec<f32>>,
    compensate: bool,
) -> Costs {
    let (frames, delay) = (planes[0].len(), chain.delay_samples());
    let padded = (frames + delay).next_multiple_of(BLOCK_SAMPLES);
    planes.iter_mut().chain(&mut far_end).for_each(|plane| plane.resize(padded, 0.0));

    let blocks = padded / BLOCK_SAMPLES;
    let mut costs = Costs::new(chain.stage_delays().count(), blocks);
    let mut audio = if planes.len() == 2 { AudioBuffer::stereo() } else { AudioBuffer::mono() };
    let bar = progress_bar(blocks);
    for block in 0..blocks {
        let samples = block * BLOCK_SAMPLES..(block + 1) * BLOCK_SAMPLES;
        for (channel, plane) in planes.iter().enumerate() {
            audio.plane_mut(channel).copy_from_slice(&plane[samples.clone()]);
        }
        let far_end = far_end.as_ref().map(|far_end| &far_end[samples.clone()]);
        chain.process(&mut audio, far_end, &mut costs);
        chain.catch_up();
        for (channel, plane) in planes.iter_mut().enumerate() {
            plane[samples.clone()].copy_from_slice(audio.plane(channel));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    let kept = if compensate { delay..delay + frames } else { 0..frames + delay };
    for plane in planes {
        plane.truncate(kept.end);
        plane.drain(..kept.start);
    }
    costs
}

/// On standard error, and nothing where that is no terminal. Counts seconds.
fn progress_bar(blocks: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %, {eta} to go");
    let bar = ProgressBar::new(blocks as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use foldback_chain::ChainSpec;
    use foldback_config::Config;
    use foldback_stage::StageFormat;
    use foldback_stage_testkit::measure::{align, rms_dbfs};
    use foldback_stage_testkit::signal::{speech_like, white_noise};

    use super::*;
    use crate::plugins;

    fn chain(stages: &str, format: StageFormat) -> OfflineChain {
        let text = format!("[chain.x]\nstages = [{stages}]\n");
        let config = Config::parse(&text, "", &plugins::registry()).expect("a valid chain");
        let spec: &ChainSpec = &config.chains[0];
        OfflineChain::build(spec, format).expect("builds")
    }

    #[test]
    fn output_lines_up_with_input_and_has_its_length() {
        let voice = speech_like(1, -26.0, 3.003);
        for stages in [
            r#"{ kind = "denoise" }, { kind = "mix" }"#,
            r#"{ kind = "mix" }, { kind = "limiter" }"#,
            r#"{ kind = "echo-cancel" }, { kind = "denoise" }, { kind = "mix" }, { kind = "limiter" }"#,
        ] {
            let mut planes = vec![voice.clone()];
            render(&mut chain(stages, StageFormat::MONO), &mut planes, None, true);
            assert_eq!(planes[0].len(), voice.len());
            let found = align(&voice, &planes[0]);
            // A canceller's band filters delay some frequencies by two samples less.
            assert!(found.delay_samples.abs() <= 2, "{stages}: {found:?}");
            assert!(found.correlation > 0.9, "{stages}: {found:?}");
        }
    }

    #[test]
    fn the_raw_stream_is_late_and_whole() {
        let noise = white_noise(1, -20.0, 0.503);
        let mut planes = vec![noise.clone()];
        let mut chain = chain(r#"{ kind = "limiter" }"#, StageFormat::MONO);
        let delay = chain.delay_samples();
        assert!(delay > 0, "else this shows nothing");
        render(&mut chain, &mut planes, None, false);
        assert_eq!(planes[0].len(), noise.len() + delay);
        assert_eq!(align(&noise, &planes[0]).delay_samples, delay as isize);
        assert!(rms_dbfs(&planes[0][noise.len()..]) > -30.0, "the tail is there");
    }

    #[test]
    fn each_channel_of_stereo_goes_its_own_way() {
        let (left, right) = (white_noise(1, -20.0, 0.5), vec![0.0; 24_000]);
        let mut planes = vec![left.clone(), right.clone()];
        let mut chain = chain(r#"{ kind = "gain", gain_db = -6 }"#, StageFormat::STEREO);
        render(&mut chain, &mut planes, None, true);
        assert!((rms_dbfs(&planes[0]) + 26.0).abs() < 0.1);
        assert_eq!(planes[1], right);
    }

    #[test]
    fn the_canceller_takes_out_what_the_far_end_explains() {
        let far_end = speech_like(7, -26.0, 6.0);
        let mut echo = vec![0.0; 2_400];
        echo.extend(far_end.iter().map(|sample| 0.3 * sample));
        echo.truncate(far_end.len());
        let residual_dbfs = |far_end: Option<Vec<f32>>| {
            let mut planes = vec![echo.clone()];
            let mut chain =
                chain(r#"{ kind = "echo-cancel" }, { kind = "mix" }"#, StageFormat::MONO);
            render(&mut chain, &mut planes, far_end, true);
            rms_dbfs(&planes[0][4 * 48_000..])
        };
        let (with, without) = (residual_dbfs(Some(far_end)), residual_dbfs(None));
        assert!(with < without - 20.0, "{with} dBFS with the far end, {without} without");
    }

    #[test]
    fn every_block_of_every_stage_is_timed() {
        let stages = r#"{ kind = "high-pass" }, { kind = "mix" }, { kind = "limiter" }"#;
        let mut chain = chain(stages, StageFormat::MONO);
        let costs = render(&mut chain, &mut [vec![0.1; 9_600]], None, false);
        let blocks = costs.blocks.count();
        assert_eq!(blocks, (9_600 + chain.delay_samples()).div_ceil(BLOCK_SAMPLES));
        let counts: Vec<_> = costs.stages.iter().map(|stage| stage.times.count()).collect();
        assert_eq!(counts, [blocks, blocks]);
    }
}
