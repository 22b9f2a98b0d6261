//! Stages that a chain can do without for a while.

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, Stage};

use crate::delay::{Bypass, FADE_BLOCKS, blend};

/// The way past a stage that may rest: sound fades to it and back, as late as through the stage.
pub(crate) struct WayPast {
    line: Bypass,
    /// The block as it came, so late.
    past: AudioBuffer,
    /// After so many blocks a stage that has rested holds nothing of what it was given before.
    flush_blocks: usize,
    /// Blocks until the line holds what came before: from then on sound can fade to it.
    fills: usize,
    rests: bool,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Runs,
    /// So many blocks of the fade away from the stage are over.
    Leaves(usize),
    Rests,
    /// The stage runs unheard for so many blocks.
    Returns(usize),
    /// So many blocks of the fade back to the stage are over.
    Joins(usize),
}

impl WayPast {
    /// Past that stage. Allocates.
    pub(crate) fn new(stage: &dyn Stage) -> Self {
        let delay = stage.delay_samples();
        let filled_after = delay.div_ceil(BLOCK_SAMPLES);
        Self {
            line: Bypass::new(delay),
            past: AudioBuffer::mono(),
            flush_blocks: filled_after + 1,
            fills: filled_after,
            rests: false,
            phase: Phase::Runs,
        }
    }

    /// Lets the stage rest from now on, or run.
    pub(crate) fn rest(&mut self, rests: bool) {
        self.rests = rests;
        self.phase = match (self.phase, rests) {
            (Phase::Runs, true) if self.fills == 0 => Phase::Leaves(0),
            (Phase::Returns(_) | Phase::Joins(0), true) => Phase::Rests,
            (Phase::Joins(block), true) => Phase::Leaves(FADE_BLOCKS - block),
            (Phase::Leaves(0), false) => Phase::Runs,
            (Phase::Leaves(block), false) => Phase::Joins(FADE_BLOCKS - block),
            (Phase::Rests, false) => Phase::Returns(self.flush_blocks),
            (phase, _) => phase,
        };
    }

    /// Takes a block through the stage, past it, or both. A stage that rests is told that its
    /// participant is idle, so that it goes on with what it must follow.
    pub(crate) fn process(
        &mut self,
        stage: &mut dyn Stage,
        audio: &mut AudioBuffer,
        cx: &mut BlockContext<'_>,
    ) {
        self.past.copy_from(audio);
        self.line.process(&mut self.past.block(), cx);
        self.fills = self.fills.saturating_sub(1);
        match self.phase {
            Phase::Runs => {
                stage.process(&mut audio.block(), cx);
                self.rest(self.rests);
            }
            Phase::Leaves(block) => {
                stage.process(&mut audio.block(), cx);
                std::mem::swap(audio, &mut self.past);
                blend(audio, &self.past, block);
                self.phase = after(block, Phase::Leaves, Phase::Rests);
            }
            Phase::Rests => {
                stage.idle(cx);
                audio.copy_from(&self.past);
            }
            Phase::Returns(left) => {
                stage.process(&mut audio.block(), &mut cx.clone());
                audio.copy_from(&self.past);
                self.phase = if left > 1 { Phase::Returns(left - 1) } else { Phase::Joins(0) };
            }
            Phase::Joins(block) => {
                stage.process(&mut audio.block(), cx);
                blend(audio, &self.past, block);
                self.phase = after(block, Phase::Joins, Phase::Runs);
            }
        }
    }
}

/// What follows upon block number `block` of a fade.
fn after(block: usize, fade: fn(usize) -> Phase, end: Phase) -> Phase {
    if block + 1 < FADE_BLOCKS { fade(block + 1) } else { end }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::{FRAC_PI_2, TAU};

    use foldback_stage::{AudioBlock, StageFormat, StageKind, StageReport};

    use crate::{Chain, Change, NoProbe, StageSpec};

    use super::*;

    const DELAY: usize = 433;

    /// Late, half as loud, and counts the blocks that it processed and those that it rested.
    struct Half {
        line: std::collections::VecDeque<f32>,
        counts: [f32; 2],
    }

    impl Stage for Half {
        fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
            self.counts[0] += 1.0;
            for sample in block.planes_mut().flatten() {
                self.line.push_back(*sample * 0.5);
                *sample = self.line.pop_front().expect("as long as the delay, and one");
            }
        }

        fn idle(&mut self, _cx: &mut BlockContext<'_>) {
            self.counts[1] += 1.0;
        }

        fn delay_samples(&self) -> usize {
            DELAY
        }

        fn report(&self, report: &mut StageReport) {
            report.add("processed", self.counts[0]);
            report.add("rested", self.counts[1]);
        }
    }

    static HALF: StageKind = StageKind {
        name: "half",
        about: "",
        params: &[],
        build: &|_, _| Ok(Box::new(Half { line: vec![0.0; DELAY].into(), counts: [0.0; 2] })),
    };

    struct Player {
        chain: Chain,
        out: Vec<f32>,
    }

    impl Player {
        fn new(optional: bool) -> Self {
            let spec = StageSpec { optional, ..StageSpec::of(&HALF) };
            let chain = Chain::build(&[spec], StageFormat::MONO).expect("builds");
            Self { chain, out: Vec::new() }
        }

        fn play(&mut self, blocks: usize) {
            for _ in 0..blocks {
                let mut audio = AudioBuffer::mono();
                for (sample, n) in audio.plane_mut(0).iter_mut().zip(self.out.len()..) {
                    *sample = tone(n);
                }
                self.chain.process(&mut audio, &mut BlockContext::default(), &mut NoProbe);
                self.out.extend_from_slice(audio.plane(0));
            }
        }

        fn last_block(&self) -> impl Iterator<Item = (usize, f32)> {
            let from = self.out.len() - BLOCK_SAMPLES;
            self.out[from..].iter().copied().enumerate().map(move |(i, s)| (from + i - DELAY, s))
        }

        fn counts(&self) -> (f32, f32) {
            let report = self.chain.report(0);
            let counts: Vec<_> = report.readings().map(|reading| reading.value).collect();
            (counts[0], counts[1])
        }
    }

    fn tone(n: usize) -> f32 {
        0.25 * (TAU * 300.0 * n as f32 / 48e3).sin()
    }

    #[test]
    fn a_stage_that_rests_lets_sound_pass_as_late_as_through_it_and_comes_back() {
        let mut player = Player::new(true);
        player.play(10);
        player.chain.rest_optional(true);
        player.play(10);
        assert!(player.last_block().all(|(n, sample)| sample == tone(n)));
        assert_eq!(player.counts(), (12.0, 8.0), "two blocks to fade");
        player.chain.rest_optional(false);
        player.play(10);
        assert!(player.last_block().all(|(n, sample)| sample == 0.5 * tone(n)));
        assert_eq!(player.counts(), (22.0, 8.0));
    }

    #[test]
    fn whenever_it_is_told_to_rest_or_run_there_is_no_click() {
        for blocks in 0..6 {
            let mut player = Player::new(true);
            player.play(10);
            for rests in [true, false, true, true, false, false, true, false] {
                player.chain.rest_optional(rests);
                player.play(blocks);
            }
            player.play(10);
            assert!(player.last_block().all(|(n, sample)| sample == 0.5 * tone(n)), "{blocks}");
            assert_smooth(&player.out, blocks);
        }
    }

    #[test]
    fn a_running_stage_becomes_optional_and_is_so_no_more_without_a_click_or_a_fresh_start() {
        for blocks in 0..6 {
            let mut player = Player::new(false);
            player.play(10);
            player.chain.rest_optional(true);
            let [fixed, optional] =
                [false, true].map(|optional| [StageSpec { optional, ..StageSpec::of(&HALF) }]);
            let turn = |player: &mut Player, from: &[StageSpec], to: &[StageSpec]| {
                let change = Change::build(from, to, StageFormat::MONO).expect("builds");
                player.chain.change(change.expect("another chain")).expect("fits");
                player.play(blocks);
                drop(player.chain.take_over());
            };
            turn(&mut player, &fixed, &optional);
            turn(&mut player, &optional, &fixed);
            turn(&mut player, &fixed, &optional);
            player.play(10);
            assert!(player.last_block().all(|(n, sample)| sample == tone(n)), "{blocks}: it rests");
            turn(&mut player, &optional, &fixed);
            player.play(10);
            assert!(player.last_block().all(|(n, sample)| sample == 0.5 * tone(n)), "{blocks}");
            let (processed, rested) = player.counts();
            assert_eq!(processed + rested, (player.out.len() / BLOCK_SAMPLES) as f32, "one stage");
            assert_smooth(&player.out, blocks);
        }
    }

    /// A fade of 20 ms moves by at most pi / 2 / 960 of the difference in a sample.
    fn assert_smooth(out: &[f32], blocks: usize) {
        let most = 0.25 * TAU * 300.0 / 48e3 + 0.125 * FRAC_PI_2 / 960.0;
        let steps = out[2 * BLOCK_SAMPLES..].windows(2).map(|w| (w[1] - w[0]).abs());
        let found = steps.fold(0.0, f32::max);
        assert!(found <= most, "every {blocks}: a step of {found}, {most} allowed");
    }

    #[test]
    fn a_stage_that_is_not_optional_never_rests() {
        let mut player = Player::new(false);
        player.chain.rest_optional(true);
        player.play(10);
        assert_eq!(player.counts(), (10.0, 0.0));
    }
}
