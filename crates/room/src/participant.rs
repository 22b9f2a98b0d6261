//! One participant of a room, and how it comes in and goes out.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use foldback_chain::{Chain, ChainBuildError, ChainSpec};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::codec::{Codec, CodecError};
use crate::hearing::Hearing;
use crate::loopback::Loopback;
use crate::mix::Mix;
use crate::mixes::FarEnd;
use crate::output_class::Downlink;
use crate::planes::Planes;
use crate::probe::{Clock, StageTimes};
use crate::receiver::{Pulled, Receiver, ReceiverStats};
use crate::room::RoomSpec;
use crate::talkers::Activity;

/// Names a participant within its room for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub u64);

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All that a participant brings into a room: receiver, input chain, and an encoder with its
/// output chain, until the room has enough of those. Built on the control side.
pub struct Admission {
    pub(crate) codec: Codec,
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) receiver: Receiver,
    pub(crate) input: Chain,
    pub(crate) times: StageTimes,
    pub(crate) audio: Planes,
    pub(crate) mix: Mix,
}

impl Admission {
    /// Builds everything for one participant: the chain of `spec` is the room's, but for its stages
    /// before `mix`, which may be the participant's own. Allocates, and takes a few milliseconds.
    ///
    /// # Errors
    /// When a stage or libopus refuses.
    pub fn build(spec: &RoomSpec) -> Result<Self, AdmissionError> {
        Self::build_for(spec, Codec::Opus)
    }

    /// As [`Self::build`], for one whose packets are of that codec, those to them too.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_for(spec: &RoomSpec, codec: Codec) -> Result<Self, AdmissionError> {
        Ok(Self {
            codec,
            chain: Arc::clone(&spec.chain),
            receiver: Receiver::with(spec.latency, spec.chain.format, codec, spec.economies),
            input: Chain::build(&spec.chain.input, spec.chain.format)?,
            times: StageTimes::of(spec.chain.input.len()),
            audio: Planes::new(spec.chain.format, MAX_PACKET_SAMPLES_OUT),
            mix: Mix::new(spec)?,
        })
    }

    /// The chain whose stages before `mix` it has.
    #[must_use]
    pub fn chain(&self) -> &Arc<ChainSpec> {
        &self.chain
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// Why a participant could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmissionError {
    /// A stage of the chain refused.
    Chain(ChainBuildError),
    /// libopus refused.
    Codec(CodecError),
}

impl From<ChainBuildError> for AdmissionError {
    fn from(error: ChainBuildError) -> Self {
        Self::Chain(error)
    }
}

impl From<CodecError> for AdmissionError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl fmt::Display for AdmissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain(error) => error.fmt(f),
            Self::Codec(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AdmissionError {}

/// What a room needs no more of; its memory is freed where this is dropped.
pub struct Spare {
    _mix: Box<Mix>,
}

impl Spare {
    pub(crate) fn new(mix: Mix) -> Self {
        Self { _mix: Box::new(mix) }
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spare")
    }
}

/// What a participant leaves behind; its memory is freed where this is dropped.
#[derive(Debug)]
pub struct Departed {
    /// Its counters at the end.
    pub stats: ReceiverStats,
    _freed: Freed,
}

struct Freed {
    _participant: Participant,
    _mix: Option<Mix>,
}

impl fmt::Debug for Freed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Freed")
    }
}

impl Departed {
    pub(crate) fn new(participant: Participant, mix: Option<Mix>) -> Self {
        Self {
            stats: participant.receiver.stats(),
            _freed: Freed { _participant: participant, _mix: mix },
        }
    }
}

/// What all participants are listened to with in one tick.
pub(crate) struct Listening<'a, C> {
    pub(crate) now: Instant,
    /// Blocks in a packet out.
    pub(crate) blocks: usize,
    pub(crate) skips_silence: bool,
    /// What each mix sent last.
    pub(crate) far_ends: &'a [FarEnd],
    pub(crate) clock: C,
}

pub(crate) struct Participant {
    pub(crate) id: ParticipantId,
    pub(crate) receiver: Receiver,
    /// Whose stages before `mix` it has.
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) input: Chain,
    /// What its stages took in this tick.
    pub(crate) times: StageTimes,
    /// What this participant gives to the mix, faded in and out: as much as a packet out holds.
    pub(crate) audio: Planes,
    /// Which blocks of `audio` are zero: those of the idle are not written again and again.
    blank: [bool; MAX_PACKET_SAMPLES_OUT / BLOCK_SAMPLES],
    pub(crate) activity: Activity,
    pub(crate) muted: bool,
    /// How loud the others get it, and how loud they got the last block.
    pub(crate) gain: f32,
    gave: f32,
    /// Samples of what was said that the input chain still holds.
    held_back: usize,
    /// The mute has been carried out: faded, not cut.
    silenced: bool,
    /// Chosen for the mix.
    pub(crate) in_mix: bool,
    /// Any of `audio` is in this packet's mix (it may just be fading out).
    pub(crate) contributes: bool,
    /// How it hears the others.
    pub(crate) hearing: Hearing,
    /// Whether it hears itself, and nobody else does.
    pub(crate) loopback: Loopback,
    /// In this packet no mix of others is right for it: its own voice is in them, or that of somebody
    /// whom it hears otherwise.
    pub(crate) needs_own_mix: bool,
    /// Blocks for which the participant keeps its own mix after it last needed one.
    pub(crate) own_mix_hold: u32,
    /// The way to it.
    pub(crate) downlink: Downlink,
    /// Index of the mix it hears.
    pub(crate) hears: usize,
    /// Is sent nothing.
    pub(crate) deaf: bool,
}

impl Participant {
    pub(crate) fn new(
        id: ParticipantId,
        receiver: Receiver,
        chain: Arc<ChainSpec>,
        input: Chain,
        times: StageTimes,
        audio: Planes,
        hears: usize,
    ) -> Self {
        Self {
            id,
            receiver,
            chain,
            input,
            times,
            audio,
            blank: [true; _],
            activity: Activity::silent(),
            muted: false,
            gain: 1.0,
            gave: 1.0,
            held_back: 0,
            silenced: false,
            in_mix: false,
            contributes: false,
            hearing: Hearing::default(),
            loopback: Loopback::default(),
            needs_own_mix: false,
            own_mix_hold: 0,
            downlink: Downlink::default(),
            hears,
            deaf: false,
        }
    }

    /// Pulls one packet's worth through the input chain. Depends on nobody else.
    pub(crate) fn listen<C: Clock>(&mut self, cx: &Listening<'_, C>, sound: &mut AudioBuffer) {
        // What it is not sent does not come back as its echo.
        let far_end = if self.deaf { &FarEnd::SILENT } else { &cx.far_ends[self.hears] };
        self.receiver.set_heard(!cx.skips_silence || self.in_mix || self.activity.is_talking());
        for block in 0..cx.blocks {
            let pulled = self.receiver.pull(cx.now, sound);
            let mut cx_of_block = BlockContext {
                far_end: Some(far_end.block(block)),
                timeline: self.receiver.timeline(),
                voice_probability: None,
            };
            let silent = pulled == Pulled::Idle || (self.is_mute() && self.silenced);
            self.follow_mute(sound);
            if silent && self.held_back == 0 && cx.skips_silence {
                self.input.idle(&mut cx_of_block);
                self.activity.block(None);
                self.blank(block);
                continue;
            }
            // What the chain holds back when the participant falls silent is still played: it
            // belongs to what was said before, not to what will be said after.
            if silent {
                sound.clear();
                self.held_back = self.held_back.saturating_sub(BLOCK_SAMPLES);
            } else {
                self.held_back = self.input.delay_samples();
            }
            self.input.process(sound, &mut cx_of_block, &mut self.times.by(cx.clock));
            self.activity.block(Some(sound.rms()));
            self.give(block, sound);
        }
    }

    /// Gives the mix a block of sound.
    fn give(&mut self, block: usize, sound: &AudioBuffer) {
        for (channel, plane) in self.audio.iter_mut().enumerate() {
            let given = &mut plane[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES];
            given.copy_from_slice(sound.plane(channel));
            if (self.gave, self.gain) != (1.0, 1.0) {
                ramp(given, self.gave, self.gain);
            }
        }
        self.gave = self.gain;
        self.blank[block] = false;
    }

    /// Gives the mix a block of silence.
    fn blank(&mut self, block: usize) {
        if !std::mem::replace(&mut self.blank[block], true) {
            self.audio.clear_part(block * BLOCK_SAMPLES..(block + 1) * BLOCK_SAMPLES);
        }
    }

    /// Carries a mute or unmute out on a block of the microphone: faded over its length, before the
    /// chain, whose delay would take the fade apart from the sound.
    fn follow_mute(&mut self, microphone: &mut AudioBuffer) {
        let mute = self.is_mute();
        if !self.silenced && !mute {
            return;
        }
        let (from, to) = (f32::from(!self.silenced), f32::from(!mute));
        for plane in microphone.block().planes_mut() {
            ramp(plane, from, to);
        }
        self.silenced = mute;
    }

    /// Whether its microphone is silenced: who is muted may still hear themselves.
    fn is_mute(&self) -> bool {
        self.muted && !self.loopback.is_on()
    }

    /// Lets the optional stages of its chain rest, or run.
    pub(crate) fn rest_optional(&mut self, rest: bool) {
        if rest != self.activity.is_bare() {
            self.input.rest_optional(rest);
            self.activity.set_bare(rest && self.chain.input.iter().any(|stage| stage.optional));
        }
    }

    /// Makes `audio` what the mix gets, as the participant comes into it, stays or leaves.
    pub(crate) fn follow_choice(&mut self, chosen: bool, packet_samples: usize) {
        // What is not heard is not read.
        if chosen != self.in_mix {
            self.fade(chosen, packet_samples);
        }
        self.contributes = self.in_mix || chosen;
        self.in_mix = chosen;
    }

    fn fade(&mut self, into: bool, packet_samples: usize) {
        for plane in self.audio.iter_mut() {
            fade(&mut plane[..packet_samples], into);
        }
    }
}

/// Fades in over 2.5 ms (short, so that no onset is lost), out over the whole packet.
fn fade(audio: &mut [f32], into: bool) {
    const FADE_IN_SAMPLES: usize = 120;
    if into {
        for (i, sample) in audio[..FADE_IN_SAMPLES].iter_mut().enumerate() {
            *sample *= i as f32 / FADE_IN_SAMPLES as f32;
        }
    } else {
        let end = audio.len() as f32;
        for (i, sample) in audio.iter_mut().enumerate() {
            *sample *= 1.0 - (i + 1) as f32 / end;
        }
    }
}

/// From one gain to another over a block.
fn ramp(block: &mut [f32], from: f32, to: f32) {
    let step = (to - from) / block.len() as f32;
    for (i, sample) in block.iter_mut().enumerate() {
        *sample *= from + step * (i + 1) as f32;
    }
}
