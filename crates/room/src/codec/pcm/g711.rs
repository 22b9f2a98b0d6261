//! G.711: a byte for each sample, finer where it is softer (ITU-T G.711, tables 1 and 2).

/// What is added so that each segment begins at a power of two.
const MU_BIAS: i32 = 0x84;

/// From µ-law to 16 bits.
pub(super) fn mu_to_linear(byte: u8) -> i16 {
    let code = i32::from(!byte);
    let (segment, step) = (code >> 4 & 7, code & 15);
    let level = (((step << 3) + MU_BIAS) << segment) - MU_BIAS;
    (if code & 0x80 == 0 { level } else { -level }) as i16
}

/// From 16 bits to µ-law.
pub(super) fn linear_to_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let level = i32::from(sample).abs().min(0x7fff - MU_BIAS) + MU_BIAS;
    // From 132 on, so that the highest bit is the 8th at least.
    let segment = 24 - level.leading_zeros() as i32;
    let step = level >> (segment + 3) & 15;
    !(sign | segment << 4 | step) as u8
}

/// From A-law to 16 bits.
pub(super) fn a_to_linear(byte: u8) -> i16 {
    let code = i32::from(byte ^ 0x55);
    let (segment, step) = (code >> 4 & 7, (code & 15) << 4);
    let level = match segment {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    (if code & 0x80 == 0 { -level } else { level }) as i16
}

/// From 16 bits to A-law.
pub(super) fn linear_to_a(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    // Of negative ones those between two steps go the other way.
    let level = if sample < 0 { -i32::from(sample) - 1 } else { i32::from(sample) };
    let segment = (24 - level.leading_zeros() as i32).max(0);
    let step = level >> if segment == 0 { 4 } else { segment + 3 } & 15;
    (sign | segment << 4 | step) as u8 ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes and what they stand for, of the tables of the standard, in 16 bits (of which it has 14 and 13).
    #[test]
    fn codes_stand_for_what_the_standard_says() {
        for (code, level) in [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
            (0xef, 132),
            (0x90, 15_996),
            (0x8f, 16_764),
        ] {
            assert_eq!(mu_to_linear(code), level, "{code:#x}");
        }
        for (code, level) in [
            (0xd5, 8),
            (0x55, -8),
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0xc5, 264),
            (0xf5, 528),
            (0xba, 16_128),
        ] {
            assert_eq!(a_to_linear(code), level, "{code:#x}");
        }
    }

    #[test]
    fn every_code_comes_back() {
        for code in 0..=255 {
            // Of nothing at all there are two.
            if code != 0x7f {
                assert_eq!(linear_to_mu(mu_to_linear(code)), code, "{code:#x}");
            }
            assert_eq!(linear_to_a(a_to_linear(code)), code, "{code:#x}");
        }
    }

    #[test]
    fn every_sample_is_written_as_near_as_its_segment_allows() {
        for sample in i16::MIN..=i16::MAX {
            let loud = i32::from(sample).abs().min(32_124);
            for (law, back) in [
                ("mu", mu_to_linear(linear_to_mu(sample))),
                ("a", a_to_linear(linear_to_a(sample))),
            ] {
                let off = (i32::from(back) - i32::from(sample)).abs();
                // Half a step, of which a segment has 16, and what lies beyond the loudest.
                let beyond = i32::from(sample).abs() - loud;
                let step = ((loud + 132) / 16).max(16);
                assert!(off <= step / 2 + 8 + beyond, "{law}: {sample} came back as {back}");
            }
        }
    }
}
