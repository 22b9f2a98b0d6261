//! The encoder, by libopus' own interface: the safe wrapper has no door to copy a state by.
#![allow(unsafe_code, reason = "every call goes through C")]

use std::ffi::c_int;
use std::ptr::NonNull;

use audiopus::ffi;
use foldback_stage::{SAMPLE_RATE_HZ, StageFormat};

use super::{Application, CodecError, OpusSettings};

/// A 48 kHz encoder.
pub(crate) struct OpusEncoder {
    state: NonNull<ffi::OpusEncoder>,
    channels: c_int,
}

// SAFETY: a state is a block of memory that is reached through its pointer alone; libopus keeps
// nothing per thread.
unsafe impl Send for OpusEncoder {}

impl OpusEncoder {
    /// For sound of that format; what it gives is mono in any case until [`Self::set_stereo`].
    pub(crate) fn new(settings: &OpusSettings, format: StageFormat) -> Result<Self, CodecError> {
        let mut error = ffi::OPUS_OK;
        let channels = if format == StageFormat::STEREO { 2 } else { 1 };
        let application = match settings.application {
            Application::Voice => ffi::OPUS_APPLICATION_VOIP,
            Application::Audio => ffi::OPUS_APPLICATION_AUDIO,
        };
        // SAFETY: `error` outlives the call.
        let state = unsafe {
            ffi::opus_encoder_create(SAMPLE_RATE_HZ as i32, channels, application, &raw mut error)
        };
        let state = NonNull::new(state).ok_or_else(|| refused(error))?;
        let mut encoder = Self { state, channels };
        encoder.set_stereo(false);
        encoder.try_adopt(settings)?;
        Ok(encoder)
    }

    /// Goes on with other settings. Those of a room were tried when it was made: what libopus
    /// took then it takes now.
    pub(crate) fn adopt(&mut self, settings: &OpusSettings) {
        let _ = self.try_adopt(settings);
    }

    fn try_adopt(&mut self, settings: &OpusSettings) -> Result<(), CodecError> {
        let loss = i32::from(settings.expected_loss_percent);
        self.set(ffi::OPUS_SET_BITRATE_REQUEST, settings.bitrate_bps)?;
        self.set(ffi::OPUS_SET_COMPLEXITY_REQUEST, settings.complexity.into())?;
        self.set(ffi::OPUS_SET_INBAND_FEC_REQUEST, (loss > 0).into())?;
        self.set(ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST, loss)
    }

    /// Goes on with that effort, 0 to 10.
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        let _ = self.set(ffi::OPUS_SET_COMPLEXITY_REQUEST, complexity.into());
    }

    /// Encodes 10 or 20 ms, of stereo left and right in turn, into `out` and returns the bytes written; `None` only if libopus fails.
    pub(crate) fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Option<usize> {
        let samples = c_int::try_from(pcm.len()).ok()? / self.channels;
        let space = i32::try_from(out.len()).ok()?;
        // SAFETY: there are as many floats as samples of each channel, and no more than `space` bytes are
        // written.
        let written = unsafe {
            ffi::opus_encode_float(
                self.state.as_ptr(),
                pcm.as_ptr(),
                samples,
                out.as_mut_ptr(),
                space,
            )
        };
        usize::try_from(written).ok()
    }

    /// Goes on from where `other` is, of as many channels, whose settings it has from now on, too: what this one encodes
    /// next follows upon what that one has encoded, for a decoder that heard it. Allocates nothing.
    pub(crate) fn continue_from(&mut self, other: &Self) {
        if self.channels != other.channels {
            return;
        }
        // SAFETY: both states are of that size, and distinct; "the encoder state is always
        // continuous in memory and only a shallow copy is sufficient to copy it" (`opus.h`).
        unsafe {
            let size = usize::try_from(ffi::opus_encoder_get_size(self.channels)).unwrap_or(0);
            let (from, to) = (other.state.cast::<u8>(), self.state.cast::<u8>());
            from.copy_to_nonoverlapping(to, size);
        }
    }

    /// Whether packets of silence and even noise have one byte or two, and need not be sent, but for
    /// one every 400 ms (RFC 7587, section 3.1.3).
    pub(crate) fn set_dtx(&mut self, dtx: bool) {
        let _ = self.set(ffi::OPUS_SET_DTX_REQUEST, dtx.into());
    }

    /// Whether packets may be stereo; else, of stereo sound, they hold the mean of both sides.
    pub(crate) fn set_stereo(&mut self, stereo: bool) {
        let forced = if stereo { ffi::OPUS_AUTO } else { 1 };
        let _ = self.set(ffi::OPUS_SET_FORCE_CHANNELS_REQUEST, forced);
    }

    fn set(&mut self, request: c_int, value: i32) -> Result<(), CodecError> {
        // SAFETY: each of the requests above takes one 32-bit integer.
        match unsafe { ffi::opus_encoder_ctl(self.state.as_ptr(), request, value) } {
            ffi::OPUS_OK => Ok(()),
            error => Err(refused(error)),
        }
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: it was made by `opus_encoder_create`, and nobody else has it.
        unsafe { ffi::opus_encoder_destroy(self.state.as_ptr()) };
    }
}

fn refused(error: c_int) -> CodecError {
    CodecError::new(format!("no Opus encoder: libopus gives error {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::MAX_ENCODED_BYTES;

    /// The packet of 20 ms of a tone, from that sample on.
    fn packet(encoder: &mut OpusEncoder, from: usize) -> Vec<u8> {
        let tone = |i: usize| 0.3 * (i as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
        let pcm: Vec<f32> = (from..from + 960).map(tone).collect();
        let mut bytes = vec![0; MAX_ENCODED_BYTES];
        let length = encoder.encode(&pcm, &mut bytes).expect("encodes");
        bytes.truncate(length);
        bytes
    }

    fn encoder(settings: &OpusSettings) -> OpusEncoder {
        OpusEncoder::new(settings, StageFormat::MONO).expect("an encoder")
    }

    #[test]
    fn an_encoder_that_continues_from_another_encodes_as_that_one_does() {
        let (mut one, mut other) =
            (encoder(&OpusSettings::default()), encoder(&OpusSettings::default()));
        (0..20).for_each(|i| drop(packet(&mut one, i * 960)));
        (0..7).for_each(|i| drop(packet(&mut other, i * 333)));
        other.continue_from(&one);
        for i in 20..25 {
            assert_eq!(packet(&mut other, i * 960), packet(&mut one, i * 960));
        }
    }

    #[test]
    fn what_libopus_refuses_is_told() {
        let settings = OpusSettings { bitrate_bps: -5, ..OpusSettings::default() };
        assert!(
            OpusEncoder::new(&settings, StageFormat::MONO)
                .is_err_and(|e| e.to_string().contains("error -1"))
        );
    }
}
