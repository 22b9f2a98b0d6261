//! What can be said of Opus packets without decoding them (RFC 6716, section 3).

/// Samples at 48 kHz in the longest packet.
const MAX_SAMPLES: u32 = 5760;

/// Samples at 48 kHz in a packet; `None` if it is no Opus packet.
#[must_use]
pub fn samples_of(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 63),
    };
    let samples = frames * frame_samples(toc);
    (1..=MAX_SAMPLES).contains(&samples).then_some(samples)
}

/// Samples at 48 kHz in a frame, by the first byte of its packet (table 2).
pub(crate) fn frame_samples(toc: u8) -> u32 {
    match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    }
}

/// A packet that asks the decoder to conceal what is lost, as long as a frame of the packet with that first byte
/// (RFC 7845, section 4.1).
pub(crate) fn lost(toc: u8) -> [u8; 1] {
    [toc & !3]
}

/// A packet of digital silence: the longest one of up to so many samples, with how many it has; none below 2.5 ms.
pub(crate) fn silence(samples: u64) -> Option<([u8; 3], u32)> {
    let config = [960, 480, 240, 120].into_iter().zip([31_u8, 30, 29, 28]);
    let (longest, config) = config.into_iter().find(|(longest, _)| *longest <= samples)?;
    // Full band, mono, and the flag of silence as the first bit that is coded (section 4.3).
    Some(([config << 3, 0xff, 0xfe], longest as u32))
}

#[cfg(test)]
mod tests {
    use audiopus::coder::Decoder;
    use audiopus::{Channels, SampleRate};

    use super::*;

    #[test]
    fn silence_decodes_to_nothing_but_zeros_as_long_as_it_says() {
        let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
        for (most, long) in [(5000, 960), (959, 480), (479, 240), (239, 120)] {
            let (packet, samples) = silence(most).expect("one that fits");
            assert_eq!((samples, samples_of(&packet)), (long, Some(long)));
            let mut pcm = [1.0_f32; 5760];
            let input = audiopus::packet::Packet::try_from(&packet[..]).expect("a packet");
            let output = audiopus::MutSignals::try_from(&mut pcm[..]).expect("room");
            let decoded = decoder.decode_float(Some(input), output, false).expect("it is Opus");
            assert_eq!(decoded, long as usize);
            assert!(pcm[..decoded].iter().all(|sample| sample.abs() < 1e-6));
        }
        assert_eq!(silence(119), None);
    }

    #[test]
    fn packets_are_as_long_as_their_first_bytes_say() {
        for (packet, samples) in [
            (&[0x78_u8, 1][..], Some(960)),
            (&[0x01, 1], Some(960)),
            (&[0x18, 1], Some(2880)),
            (&[0xe3, 6, 1], Some(720)),
            (&[0xfb, 63], None),
            (&[0xfb], None),
            (&[], None),
        ] {
            assert_eq!(samples_of(packet), samples, "{packet:?}");
        }
    }
}
