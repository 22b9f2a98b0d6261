//! RTP header extensions that are read and written here.

use std::sync::Arc;
use std::time::SystemTime;

use str0m::rtp::{AbsCaptureTime, Extension, ExtensionSerializer, ExtensionValues, RtpPacket};

use crate::outgoing::{MAX_SOURCES, OutgoingFrame};
use crate::peer::Captured;

/// Levels of contributing sources (RFC 6465).
pub(crate) const CSRC_LEVELS_URI: &str = "urn:ietf:params:rtp-hdrext:csrc-audio-level";

/// Ids that are only proposals: as the answerer the offer's are used.
const AUDIO_LEVEL_ID: u8 = 1;
const MID_ID: u8 = 4;
const CAPTURE_TIME_ID: u8 = 5;
const CSRC_LEVELS_ID: u8 = 6;

/// Registers those that a voice needs, and no others.
pub(crate) fn register(config: str0m::RtcConfig) -> str0m::RtcConfig {
    config
        .clear_extension_map()
        .set_extension(AUDIO_LEVEL_ID, Extension::AudioLevel)
        .set_extension(MID_ID, Extension::RtpMid)
        .set_extension(CAPTURE_TIME_ID, Extension::AbsoluteCaptureTime)
        .set_extension(CSRC_LEVELS_ID, Extension::with_serializer(CSRC_LEVELS_URI, CsrcLevels))
}

/// When a packet's first sample was captured, by its sender. The offset that it gives is of the
/// capturing clock to the sender's; `sender_ahead_ns` is that of the sender's clock to ours.
pub(crate) fn captured_in(packet: &RtpPacket, sender_ahead_ns: Option<i64>) -> Option<Captured> {
    let AbsCaptureTime { capture_time, clock_offset } = packet.header.ext_vals.abs_capture_time?;
    let since_epoch = capture_time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let to_sender_ns = clock_offset.map_or(0, q32_to_ns);
    let clock_offset_ns = sender_ahead_ns.map(|ahead| ahead.saturating_add(to_sender_ns));
    Some(Captured { since_epoch, clock_offset_ns })
}

/// What a packet out says of who is heard in it. str0m leaves out what was not negotiated.
pub(crate) fn header_extensions(frame: &OutgoingFrame, names_levels: bool) -> ExtensionValues {
    let levels = frame.levels.as_slice();
    let loudest = levels.first().copied().unwrap_or(127);
    let mut values = ExtensionValues {
        // RFC 6464: browsers show it as the level of each contributing source.
        audio_level: Some(-(loudest as i8)),
        voice_activity: Some(!levels.is_empty()),
        abs_capture_time: frame.captured.map(|captured| AbsCaptureTime {
            capture_time: SystemTime::UNIX_EPOCH + captured.since_epoch,
            clock_offset: captured.clock_offset_ns.map(ns_to_q32),
        }),
        ..ExtensionValues::default()
    };
    if names_levels && !levels.is_empty() {
        values.user_values.set_arc(Arc::clone(&frame.levels));
    }
    values
}

/// Seconds as a signed fixed-point number with 32 bits behind the point.
fn ns_to_q32(ns: i64) -> i64 {
    let q32 = (i128::from(ns) << 32) / 1_000_000_000;
    i64::try_from(q32).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

fn q32_to_ns(q32: i64) -> i64 {
    ((i128::from(q32) * 1_000_000_000) >> 32) as i64
}

/// Levels in the order of the CSRCs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    count: usize,
    minus_dbov: [u8; MAX_SOURCES],
}

impl Levels {
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds one; there is room for as many as there may be CSRCs.
    pub(crate) fn push(&mut self, minus_dbov: u8) {
        if let Some(free) = self.minus_dbov.get_mut(self.count) {
            *free = minus_dbov.min(127);
            self.count += 1;
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.minus_dbov[..self.count]
    }
}

#[derive(Debug)]
struct CsrcLevels;

impl ExtensionSerializer for CsrcLevels {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(levels) = values.user_values.get::<Levels>() else { return 0 };
        let levels = levels.as_slice();
        let Some(space) = buffer.get_mut(..levels.len()) else { return 0 };
        space.copy_from_slice(levels);
        levels.len()
    }

    fn parse_value(&self, buffer: &[u8], values: &mut ExtensionValues) -> bool {
        let mut levels = Levels::default();
        buffer.iter().for_each(|byte| levels.push(*byte & 0x7f));
        values.user_values.set(levels);
        true
    }

    fn is_video(&self) -> bool {
        false
    }

    fn is_audio(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_written_and_read_in_their_order() {
        let mut values = ExtensionValues::default();
        let mut levels = Levels::default();
        [20, 35, 127].into_iter().for_each(|level| levels.push(level));
        let levels = Arc::new(levels);
        values.user_values.set_arc(Arc::clone(&levels));
        let mut buffer = [0; 16];
        assert_eq!(CsrcLevels.write_to(&mut buffer, &values), 3);
        let mut read = ExtensionValues::default();
        assert!(CsrcLevels.parse_value(&buffer[..3], &mut read));
        assert_eq!(read.user_values.get::<Levels>(), Some(&*levels));
        assert_eq!(CsrcLevels.write_to(&mut buffer[..2], &values), 0, "no room: left out");
    }

    #[test]
    fn seconds_are_converted_to_fixed_point_and_back() {
        for (ns, q32) in [(0, 0), (1_000_000_000, 1 << 32), (-500_000_000, -(1_i64 << 31))] {
            assert_eq!(ns_to_q32(ns), q32);
            assert_eq!(q32_to_ns(q32), ns);
        }
    }
}
