//! Packets to sound: decoded, rebuilt, made up, and joined where what was made up ends.

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, StageFormat};

use super::{Pulled, ReceiverStats};
use crate::codec::{Codec, Decoder, MAX_PACKET_SAMPLES};
use crate::comfort::ComfortNoise;
use crate::fifo::{FadeLaw, SampleFifo};
use crate::packets::{EncodedFrame, Slot};
use crate::planes::Planes;
use crate::stretch;

/// When packets stop, libopus goes on for so long and is faded out over the last half...
const CONCEALED: usize = 4_800;
/// ...while the background noise comes in, which lasts until here and fades over its last fifth.
const COMFORTED: usize = 28_800;
/// Where nobody hears it this is enough: it may be the first word that comes late.
const UNHEARD: usize = 1_920;
/// A sender is idle once its claimed level was this low for this long (RFC 6464: 127 is silence).
const IDLE_LEVEL_MINUS_DBOV: u8 = 80;
const IDLE_AFTER_SAMPLES: u32 = 24_000;
/// What is joined by a fade: what was made up, and the sound that came late.
const JOIN_FADE: usize = 240;
const JOIN_SEARCH: usize = 480;
/// Short, so that no onset is lost.
const BEGIN_FADE: usize = 120;
/// An Opus packet that only says "I am silent" (DTX, RFC 6716, section 2.1.9) has no more bytes.
const DTX_BYTES: usize = 2;
/// Of the noise in the middle and at the sides, which have nothing in common.
const NOISE_SEEDS: [u32; 2] = [0x9E37_79B9, 0x7F4A_7C15];

/// The decoder, and the sound that waits to be pulled.
pub(super) struct Voice {
    pub(super) fifo: SampleFifo,
    format: StageFormat,
    pub(super) codec: Codec,
    /// None until there is something to decode.
    decoder: Option<Decoder>,
    /// Of each plane.
    noise: [ComfortNoise; 2],
    /// How what was made up goes on.
    goes_on: Planes,
    /// Samples made up since the last decoded packet while nothing at all was there.
    underrun: usize,
    /// Samples made up since the last decoded packet, whatever became of their packets: by now
    /// they have faded.
    made_up: usize,
    /// What is counted as one event of concealment goes on.
    concealing: bool,
    /// The last packet decoded said that silence follows.
    in_dtx: bool,
    /// The next sound is the first: it may begin in the middle of a word.
    beginning: bool,
    /// The last block was not silence: what comes next must not begin with a step.
    sounding: bool,
    /// What the sender says to be silence is not decoded.
    spares_silence: bool,
    /// For how long the sender has claimed to be silent.
    silent_for: u32,
}

impl Voice {
    /// Allocates nothing.
    pub(super) fn new(format: StageFormat, codec: Codec, spares_silence: bool) -> Self {
        Self {
            fifo: SampleFifo::new(format),
            format,
            codec,
            decoder: None,
            noise: NOISE_SEEDS.map(ComfortNoise::new),
            goes_on: Planes::new(format, 0),
            underrun: 0,
            made_up: 0,
            concealing: false,
            in_dtx: false,
            beginning: false,
            sounding: false,
            spares_silence,
            silent_for: 0,
        }
    }

    /// Makes a decoder, if there is none, and room for packets of so many samples. Allocates about
    /// 47 KiB (in stereo 131) for the first, and if there were none as long before.
    pub(super) fn expect(&mut self, packet_samples: usize) {
        self.fifo.expect(packet_samples);
        if self.decoder.is_none() {
            self.decoder = Decoder::new(self.codec, self.format);
            self.goes_on.grow(JOIN_SEARCH + JOIN_FADE);
        }
    }

    #[cfg(test)]
    pub(super) fn has_decoder(&self) -> bool {
        self.decoder.is_some()
    }

    /// Whether nothing was decoded yet, and there is nothing to decode in this packet either.
    pub(super) fn has_yet_to_begin(&self, frame: &EncodedFrame) -> bool {
        let silent = says_silence(frame).unwrap_or(frame.payload.len() <= DTX_BYTES);
        self.spares_silence && self.decoder.is_none() && silent
    }

    /// Another stream follows.
    pub(super) fn restart(&mut self) {
        (self.underrun, self.made_up) = (0, 0);
    }

    /// Playout begins, after so many samples of silence.
    pub(super) fn begin(&mut self, silence_samples: usize) {
        self.beginning = true;
        self.fifo.clear();
        let _ = self.fifo.push_space(silence_samples);
    }

    /// Whether nothing is there to decode, and the sound is made up.
    pub(super) fn runs_dry(&self) -> bool {
        self.underrun > 0
    }

    /// Mean square of the noise behind the voice; of stereo that in the middle.
    pub(super) fn background(&self) -> f32 {
        self.noise[0].floor()
    }

    /// Whether the sender says that it is silent, and has done so for a while.
    pub(super) fn claims_silence(&self) -> bool {
        self.spares_silence && self.silent_for >= IDLE_AFTER_SAMPLES
    }

    /// A block of sound was given out.
    pub(super) fn sounds(&mut self) {
        self.sounding = true;
    }

    pub(super) fn is_sounding(&self) -> bool {
        self.sounding
    }

    /// How much of `missing` samples was made up while nothing was there, and so has taken their
    /// place; told once.
    pub(super) fn stood_in_for(&mut self, missing: u64) -> u64 {
        missing.min(std::mem::take(&mut self.underrun) as u64)
    }

    /// Fades the block out if it is the first of a silence, and clears it if it is not.
    pub(super) fn fall_silent(&mut self, out: &mut AudioBuffer) -> Pulled {
        if !std::mem::take(&mut self.sounding) {
            out.clear();
            return Pulled::Idle;
        }
        fade_out(out);
        Pulled::Audio
    }

    /// Puts a packet's sound into the queue.
    pub(super) fn decode(&mut self, slot: &Slot, stats: &mut ReceiverStats) {
        let samples = slot.samples;
        let frame = &slot.frame;
        // A copy comes without a level: the sender is taken to go on as it was.
        let as_before = frame.is_copy() && self.silent_for > 0;
        let silent = says_silence(frame).unwrap_or(as_before);
        self.silent_for = if silent { self.silent_for.saturating_add(samples as u32) } else { 0 };
        let late = std::mem::take(&mut self.underrun) > 0;
        let made_up = std::mem::take(&mut self.made_up);
        // Where only as much was made up as was lost, and at full level, the decoder goes on by
        // itself.
        let joins = late || made_up > CONCEALED / 2;
        if self.claims_silence() {
            return self.spare(slot);
        }
        if joins {
            let voice = CONCEALED.saturating_sub(made_up) as f32 / (CONCEALED / 2) as f32;
            self.prepare_join(voice.min(1.0));
        }
        // Room for what was made up, which may go on for a while in front of it.
        let lead = if late { JOIN_SEARCH } else { 0 };
        let _ = self.fifo.push_space(lead);
        let Some(mut sound) = self.fifo.push_space(samples) else { return };
        let mut decoded = samples;
        if let Some(decoder) = &mut self.decoder {
            match decoder.decode(&frame.payload, &mut sound) {
                Some(count) => decoded = count.min(samples),
                None => {
                    stats.packets_invalid += 1;
                    let _ = decoder.conceal(&mut sound);
                }
            }
        }
        if std::mem::take(&mut self.beginning) {
            for plane in sound.planes_mut() {
                for (i, sample) in plane.iter_mut().take(BEGIN_FADE).enumerate() {
                    *sample *= FadeLaw::Amplitude.gains(i, BEGIN_FADE).1;
                }
            }
        }
        self.in_dtx = frame.payload.len() <= DTX_BYTES;
        self.concealing = false;
        self.fifo.unpush(samples - decoded);
        for (noise, sound) in self.noise.iter_mut().zip(self.fifo.newest_mut(decoded)) {
            noise.learn(sound);
        }
        if joins {
            self.join(decoded, lead, stats);
        }
        self.fifo.mark_arrival(frame.arrival);
    }

    /// The sender says that the packet holds silence: that spares the decoding.
    fn spare(&mut self, slot: &Slot) {
        self.beginning = false;
        self.in_dtx = slot.frame.payload.len() <= DTX_BYTES;
        self.concealing = false;
        let _ = self.fifo.push_space(slot.samples);
        self.fifo.mark_arrival(slot.frame.arrival);
    }

    /// Puts what is missing before a packet into the queue: by the packet's FEC, if it has it, else
    /// made up.
    pub(super) fn rebuild(&mut self, slot: &Slot, missing: usize, stats: &mut ReceiverStats) {
        // libopus rebuilds whole frames only, else it conceals.
        let fec = self.codec.has_fec(&slot.frame.payload) && missing >= slot.samples;
        if let (Some(mut space), Some(decoder)) = (self.fifo.push_space(missing), &mut self.decoder)
        {
            let _ = decoder.decode_fec(&slot.frame.payload, &mut space);
        }
        if fec {
            stats.fec_packets_used += 1;
        } else {
            self.count_concealed(missing, stats);
        }
    }

    /// Makes up what was lost.
    pub(super) fn conceal(&mut self, samples: usize, stats: &mut ReceiverStats) {
        let whole = samples.next_multiple_of(120).min(MAX_PACKET_SAMPLES);
        let silent = self.claims_silence();
        if let Some(mut space) = self.fifo.push_space(whole) {
            if let Some(decoder) = self.decoder.as_mut().filter(|_| !silent) {
                let _ = decoder.conceal(&mut space);
            }
            self.fifo.unpush(whole.saturating_sub(samples));
        }
        self.count_concealed(samples, stats);
    }

    /// Nothing is there to play: the voice is gone on with for a while and gives way to the noise
    /// of its background. False once that has faded to nothing, too, or nobody hears it.
    pub(super) fn go_on(&mut self, heard: bool, stats: &mut ReceiverStats) -> bool {
        let noisy = self.background() > 0.0;
        if self.underrun >= if noisy { COMFORTED } else { CONCEALED } {
            self.underrun = 0;
            self.silent_for = 0;
            self.sounding = false;
            return false;
        }
        if !heard && self.underrun >= UNHEARD {
            self.underrun = 0;
            return false;
        }
        if self.underrun < CONCEALED {
            self.conceal(BLOCK_SAMPLES, stats);
        } else {
            // Nothing is left of the voice, so the decoder can rest.
            let _ = self.fifo.push_space(BLOCK_SAMPLES);
            self.count_concealed(BLOCK_SAMPLES, stats);
        }
        let share = |left: usize, of: usize| (left as f32 / of as f32).min(1.0);
        for (plane, noise) in self.fifo.newest_mut(BLOCK_SAMPLES).zip(&mut self.noise) {
            for (gone, sample) in (self.underrun + 1..).zip(plane) {
                // libopus lets a voice fade in this time, but not a tone: the end must be silent.
                let voice = share(CONCEALED.saturating_sub(gone), CONCEALED / 2);
                let end = share(COMFORTED.saturating_sub(gone), COMFORTED / 5);
                *sample *= voice;
                if noisy && voice < 1.0 {
                    *sample += noise.sample() * (1.0 - voice * voice).sqrt() * end;
                }
            }
        }
        self.underrun += BLOCK_SAMPLES;
        self.made_up += BLOCK_SAMPLES;
        true
    }

    /// Makes up how the sound would go on that far, at that share of its level.
    fn prepare_join(&mut self, level: f32) {
        let mut goes_on = self.goes_on.head_mut(JOIN_SEARCH + JOIN_FADE);
        goes_on.planes_mut().for_each(|plane| plane.fill(0.0));
        if let Some(decoder) = &mut self.decoder {
            let _ = decoder.conceal(&mut goes_on);
            decoder.is_joined();
        }
        goes_on.planes_mut().flatten().for_each(|s| *s *= level);
    }

    /// Lets what was made up go on until the sound that came, which lies `lead` samples behind the
    /// place, fits it, and fades over.
    fn join(&mut self, decoded: usize, lead: usize, stats: &mut ReceiverStats) {
        let fade = JOIN_FADE.min(decoded);
        let waiting = self.fifo.waiting();
        let next = &waiting[waiting.len() - decoded..][..fade];
        let lag = stretch::best_join(self.goes_on.first(), next, lead);
        let (lag, law) = lag.map_or((0, FadeLaw::Power), |lag| (lag, FadeLaw::Amplitude));
        for (sound, goes_on) in self.fifo.newest_mut(lead + decoded).zip(self.goes_on.iter()) {
            sound.copy_within(lead.., lag);
            sound[..lag].copy_from_slice(&goes_on[..lag]);
            for (i, sample) in sound[lag..lag + fade].iter_mut().enumerate() {
                let (out, into) = law.gains(i, fade);
                *sample = goes_on[lag + i] * out + *sample * into;
            }
        }
        self.fifo.unpush(lead - lag);
        stats.concealed_samples += lag as u64;
    }

    fn count_concealed(&mut self, samples: usize, stats: &mut ReceiverStats) {
        // While the sender says that it is silent nothing is missing (RFC 7587, section 3.1.3).
        if self.in_dtx || self.claims_silence() {
            return;
        }
        stats.concealment_events += u64::from(!self.concealing);
        self.concealing = true;
        stats.concealed_samples += samples as u64;
        if self.underrun >= CONCEALED {
            stats.silent_concealed_samples += samples as u64;
        }
    }
}

/// Whether the sender says that it is silent, if it says how loud it is.
fn says_silence(frame: &EncodedFrame) -> Option<bool> {
    Some(frame.level_minus_dbov? >= IDLE_LEVEL_MINUS_DBOV)
}

fn fade_out(block: &mut AudioBuffer) {
    for plane in block.block().planes_mut() {
        for (i, sample) in plane.iter_mut().enumerate() {
            *sample *= FadeLaw::Amplitude.gains(i, BLOCK_SAMPLES).0;
        }
    }
}
