//! A participant that hears itself for a while, to measure how long sound takes to the server and back.

use foldback_stage::AudioBlock;

use crate::planes::{Planes, add_ramped};

/// A participant's own voice as it comes out of its chain, given back to it beside all that it hears
/// otherwise, while nobody else hears it: media loopback (RFC 6849), but through the whole mixer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loopback {
    packets: u32,
    /// How much of it is heard at the beginning of this packet, and at its end.
    from: f32,
    to: f32,
}

impl Loopback {
    /// From the next packet on, for so many of them; 0 ends it.
    pub(crate) fn last(&mut self, packets: u32) {
        self.packets = packets;
    }

    /// Whether the voice is wanted: also of who is muted.
    pub(crate) fn is_on(&self) -> bool {
        self.packets > 0
    }

    /// Whether the voice is for its owner alone, which is so until the last of it has faded.
    pub(crate) fn keeps_voice(&self) -> bool {
        self.is_on() || self.sounds()
    }

    /// Whether any of the voice is given back in this packet.
    pub(crate) fn sounds(&self) -> bool {
        self.from > 0.0 || self.to > 0.0
    }

    /// Begins the next packet, in which the last of the voice still fades for the others
    /// (`others_hear`), or does not: it is given back once it has.
    pub(crate) fn advance(&mut self, others_hear: bool) {
        self.from = self.to;
        self.to = f32::from(self.is_on() && !others_hear);
        self.packets = self.packets.saturating_sub(1);
    }

    /// Adds the voice to a sum that it is not in, faded in and out over a packet.
    pub(crate) fn add(&self, voice: &Planes, sum: &mut AudioBlock<'_>) {
        for (sum, voice) in sum.planes_mut().zip(voice.iter()) {
            add_ramped(sum, voice, self.from, self.to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fades_in_lasts_and_fades_out() {
        let mut loopback = Loopback::default();
        assert!(!loopback.keeps_voice());
        loopback.last(3);
        assert!(loopback.keeps_voice() && !loopback.sounds());
        let mut told = Vec::new();
        while loopback.keeps_voice() {
            loopback.advance(told.is_empty());
            told.push((loopback.from, loopback.to));
        }
        assert_eq!(told, [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]);
    }
}
