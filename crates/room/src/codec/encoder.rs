//! The encoder, by libopus' own interface: the safe wrapper has no door to copy a state by.
#![allow(unsafe_code, reason = "every call goes through C")]

use std::ffi::c_int;
use std::ptr::NonNull;

use audiopus::ffi;
use foldback_stage::SAMPLE_RATE_HZ;

use super::{CodecError, OpusSettings};

const MONO: c_int = 1;

/// A mono 48 kHz encoder.
pub(crate) struct OpusEncoder(NonNull<ffi::OpusEncoder>);

// SAFETY: a state is a block of memory that is reached through its pointer alone; libopus keeps
// nothing per thread.
unsafe impl Send for OpusEncoder {}

impl OpusEncoder {
    pub(crate) fn new(settings: &OpusSettings) -> Result<Self, CodecError> {
        let mut error = ffi::OPUS_OK;
        let application = ffi::OPUS_APPLICATION_VOIP;
        // SAFETY: `error` outlives the call.
        let state = unsafe {
            ffi::opus_encoder_create(SAMPLE_RATE_HZ as i32, MONO, application, &raw mut error)
        };
        let state = NonNull::new(state).ok_or_else(|| refused(error))?;
        let mut encoder = Self(state);
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

    /// Encodes 10 or 20 ms into `out` and returns the bytes written; `None` only if libopus fails.
    pub(crate) fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Option<usize> {
        let (samples, space) = (c_int::try_from(pcm.len()).ok()?, i32::try_from(out.len()).ok()?);
        // SAFETY: in mono there are as many floats as samples, and no more than `space` bytes are
        // written.
        let written = unsafe {
            ffi::opus_encode_float(self.0.as_ptr(), pcm.as_ptr(), samples, out.as_mut_ptr(), space)
        };
        usize::try_from(written).ok()
    }

    /// Goes on from where `other` is, whose settings it has from now on, too: what this one encodes
    /// next follows upon what that one has encoded, for a decoder that heard it. Allocates nothing.
    pub(crate) fn continue_from(&mut self, other: &Self) {
        // SAFETY: both states are of that size, and distinct; "the encoder state is always
        // continuous in memory and only a shallow copy is sufficient to copy it" (`opus.h`).
        unsafe {
            let size = usize::try_from(ffi::opus_encoder_get_size(MONO)).unwrap_or(0);
            let (from, to) = (other.0.cast::<u8>(), self.0.cast::<u8>());
            from.copy_to_nonoverlapping(to, size);
        }
    }

    /// Whether packets of silence and even noise have one byte or two, and need not be sent, but for
    /// one every 400 ms (RFC 7587, section 3.1.3).
    pub(crate) fn set_dtx(&mut self, dtx: bool) {
        let _ = self.set(ffi::OPUS_SET_DTX_REQUEST, dtx.into());
    }

    fn set(&mut self, request: c_int, value: i32) -> Result<(), CodecError> {
        // SAFETY: each of the requests above takes one 32-bit integer.
        match unsafe { ffi::opus_encoder_ctl(self.0.as_ptr(), request, value) } {
            ffi::OPUS_OK => Ok(()),
            error => Err(refused(error)),
        }
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: it was made by `opus_encoder_create`, and nobody else has it.
        unsafe { ffi::opus_encoder_destroy(self.0.as_ptr()) };
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
        OpusEncoder::new(settings).expect("an encoder")
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
        assert!(OpusEncoder::new(&settings).is_err_and(|e| e.to_string().contains("error -1")));
    }
}
