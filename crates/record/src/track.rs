//! The packets of one voice, or of the mix, each where it belongs in time.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::VoicePacket;
use crate::ogg_opus::OggOpus;
use crate::opus;

/// A packet that is missing is waited for so long.
const PATIENCE: Duration = Duration::from_millis(200);
/// A gap up to this is left to the decoder to conceal; a longer one is silence.
const LONGEST_CONCEALED: u64 = 24_000;
/// A long gap begins with so much of concealment, so that sound fades rather than stops.
const FADE: u64 = 2_880;
/// After a gap of more than this, time is taken from the arrival again rather than from the sender's clock.
const PAUSE: u64 = 48_000;
/// From the packets of so long it is taken then: the fastest of them tells when all were said.
const LOOK_AHEAD: Duration = Duration::from_millis(200);

/// Puts packets in order and in their places; gaps are filled once the packet after them is there, so that every
/// player keeps to the time.
pub(crate) struct Track<W> {
    stream: OggOpus<W>,
    epoch: Instant,
    /// Those that came before their time, by number.
    waiting: BTreeMap<u64, VoicePacket>,
    /// What the next one is to be.
    next: Option<(u32, u64)>,
    /// An RTP time and its place.
    anchor: Option<(u64, u64)>,
    /// In order, while their place is not known yet.
    unplaced: Vec<VoicePacket>,
    /// The first byte of the packet before.
    toc: Option<u8>,
    /// Gaps so far that packets did not say of themselves.
    gaps: u64,
}

impl<W: Write> Track<W> {
    pub(crate) fn new(stream: OggOpus<W>, epoch: Instant) -> Self {
        let (waiting, next, anchor, unplaced, toc) = Default::default();
        Self { stream, epoch, waiting, next, anchor, unplaced, toc, gaps: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.stream.position()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.stream.bytes()
    }

    /// Gaps that were filled so far.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Takes a packet as it came.
    pub(crate) fn push(&mut self, packet: VoicePacket) -> io::Result<()> {
        let (ssrc, seq) = (packet.ssrc, packet.seq);
        match self.next {
            Some((known, next)) if known == ssrc && seq < next => return Ok(()),
            Some((known, _)) if known != ssrc => {
                self.write_waiting(None)?;
                self.place_all()?;
                (self.anchor, self.next) = (None, Some((ssrc, seq)));
            }
            Some(_) => {}
            None => self.next = Some((ssrc, seq)),
        }
        self.waiting.entry(seq).or_insert(packet);
        self.write_in_order()
    }

    /// Goes on without what is missing for too long by now.
    pub(crate) fn follow(&mut self, now: Instant) -> io::Result<()> {
        self.write_waiting(Some(now))?;
        match self.unplaced.first() {
            Some(first) if now.saturating_duration_since(first.arrival) >= LOOK_AHEAD => {
                self.place_all()
            }
            _ => Ok(()),
        }
    }

    /// Writes what there is out.
    pub(crate) fn end_page(&mut self) -> io::Result<()> {
        self.stream.end_page()
    }

    /// Ends at that time.
    pub(crate) fn finish(mut self, end: Option<Instant>) -> io::Result<W> {
        self.write_waiting(None)?;
        self.place_all()?;
        if let Some(end) = end {
            let end = self.place_of(end);
            self.fill(end)?;
        }
        self.stream.finish()
    }

    fn write_in_order(&mut self) -> io::Result<()> {
        while let Some((ssrc, next)) = self.next
            && let Some(packet) = self.waiting.remove(&next)
        {
            self.next = Some((ssrc, next + 1));
            self.take(packet)?;
        }
        Ok(())
    }

    /// Writes all that waits, or what has waited for long enough at `now`.
    fn write_waiting(&mut self, now: Option<Instant>) -> io::Result<()> {
        let is_due = |packet: &VoicePacket| {
            now.is_none_or(|now| now.saturating_duration_since(packet.arrival) > PATIENCE)
        };
        while let Some((seq, packet)) = self.waiting.first_key_value()
            && is_due(packet)
        {
            self.next = Some((packet.ssrc, *seq));
            self.write_in_order()?;
        }
        Ok(())
    }

    /// Takes the next packet in order.
    fn take(&mut self, packet: VoicePacket) -> io::Result<()> {
        if self.unplaced.is_empty()
            && let Some(place) = self.place_by_clock(&packet)
        {
            return self.write(&packet, place);
        }
        let first = self.unplaced.first().map_or(packet.arrival, |first| first.arrival);
        let is_enough = packet.arrival.saturating_duration_since(first) >= LOOK_AHEAD;
        self.unplaced.push(packet);
        if is_enough { self.place_all() } else { Ok(()) }
    }

    /// Places packets by when the fastest of them came, and writes them.
    fn place_all(&mut self) -> io::Result<()> {
        let unplaced = std::mem::take(&mut self.unplaced);
        let Some(first) = unplaced.first() else { return Ok(()) };
        let said = |packet: &VoicePacket| packet.rtp_time.saturating_sub(first.rtp_time);
        let began =
            |packet: &VoicePacket| self.place_of(packet.arrival).saturating_sub(said(packet));
        let place = unplaced.iter().map(began).min().unwrap_or_default();
        self.anchor = Some((first.rtp_time, place));
        unplaced.iter().try_for_each(|packet| {
            // Whatever a sender says of its time: nothing is said after it has come.
            let latest = self.place_of(packet.arrival);
            self.write(packet, (place + said(packet)).min(latest))
        })
    }

    fn write(&mut self, packet: &VoicePacket, place: u64) -> io::Result<()> {
        // What is no Opus, a decoder would stumble over.
        let Some(samples) = opus::samples_of(&packet.payload) else { return Ok(()) };
        self.fill(place)?;
        self.toc = packet.payload.first().copied();
        self.stream.packet(packet.payload.to_vec(), samples)
    }

    /// Where a packet belongs by its sender's clock; `None` at first and after each pause.
    fn place_by_clock(&self, packet: &VoicePacket) -> Option<u64> {
        let (rtp_time, place) = self.anchor?;
        let place = place + packet.rtp_time.checked_sub(rtp_time)?;
        let latest = self.position().min(self.place_of(packet.arrival)) + PAUSE;
        (place <= latest).then_some(place)
    }

    fn place_of(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.epoch);
        (since.as_nanos() * 48 / 1_000_000) as u64
    }

    /// Fills what lies before that place, but for less than 2.5 ms.
    fn fill(&mut self, place: u64) -> io::Result<()> {
        let gap = place.saturating_sub(self.position());
        if gap < 120 {
            return Ok(());
        }
        let begun = self.toc.is_some();
        self.gaps += u64::from(begun);
        let concealed = if gap > LONGEST_CONCEALED { FADE } else { gap };
        let until = self.position() + concealed;
        if let Some(toc) = self.toc {
            let samples = opus::frame_samples(toc);
            while self.position() + u64::from(samples) <= until {
                self.stream.packet(opus::lost(toc).to_vec(), samples)?;
            }
        }
        self.stream.silence(place.saturating_sub(self.position()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use audiopus::coder::{Decoder, Encoder};
    use audiopus::packet::Packet;
    use audiopus::{Application, Channels, MutSignals, SampleRate};
    use ogg::PacketReader;

    use super::*;

    /// What a player gets of a file in mono, with the place of each page's end.
    pub(crate) fn played(bytes: &[u8]) -> Vec<f32> {
        let mut packets = PacketReader::new(std::io::Cursor::new(bytes));
        let head = packets.read_packet().expect("Ogg").expect("a header");
        assert_eq!(&head.data[..9], b"OpusHead\x01");
        let skip = usize::from(u16::from_le_bytes([head.data[10], head.data[11]]));
        let tags = packets.read_packet().expect("Ogg").expect("tags");
        assert_eq!(&tags.data[..8], b"OpusTags");
        let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
        let (mut all, mut pcm) = (Vec::new(), vec![0.0_f32; 5760]);
        while let Ok(Some(packet)) = packets.read_packet() {
            let input = Packet::try_from(&packet.data[..]).expect("a packet");
            let output = MutSignals::try_from(&mut pcm[..]).expect("room");
            let samples = decoder.decode_float(Some(input), output, false).expect("it is Opus");
            all.extend_from_slice(&pcm[..samples]);
            if packet.last_in_page() {
                assert_eq!(packet.absgp_page(), all.len() as u64, "a page says where it ends");
            }
        }
        all.split_off(skip)
    }

    pub(crate) fn rms_dbfs(samples: &[f32]) -> f64 {
        let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        10.0 * (sum / samples.len() as f64).max(1e-12).log10()
    }

    /// Packets of 20 ms of a tone at -9 dBFS.
    pub(crate) fn tone(packets: usize) -> Vec<Arc<[u8]>> {
        let encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip);
        let encoder = encoder.expect("an encoder");
        let sample = |n: usize| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
        let packet = |packet: usize| {
            let pcm: Vec<_> = (0..960).map(|n| sample(packet * 960 + n)).collect();
            let mut bytes = [0; 1275];
            let len = encoder.encode_float(&pcm, &mut bytes).expect("it encodes");
            Arc::from(&bytes[..len])
        };
        (0..packets).map(packet).collect()
    }

    fn packet(epoch: Instant, seq: u64, ms: u64, payload: &Arc<[u8]>) -> VoicePacket {
        VoicePacket {
            participant: 1,
            ssrc: 9,
            seq,
            rtp_time: 5_000_000 + seq * 960,
            arrival: epoch + Duration::from_millis(ms),
            payload: Arc::clone(payload),
        }
    }

    fn track(epoch: Instant) -> Track<Vec<u8>> {
        let stream = OggOpus::new(Vec::new(), 1, 77, &[("TITLE", "t")]).expect("a Vec takes all");
        Track::new(stream, epoch)
    }

    fn seconds(samples: &[f32], from: f64, to: f64) -> &[f32] {
        &samples[(from * 48_000.0) as usize..(to * 48_000.0) as usize]
    }

    #[test]
    fn a_voice_stands_where_it_was_said_with_silence_before_between_and_after() {
        let (epoch, tone) = (Instant::now(), tone(100));
        let mut track = track(epoch);
        for (n, payload) in (0..).zip(&tone[..50]) {
            track.push(packet(epoch, n, 2000 + 20 * n, payload)).expect("written");
        }
        // 3 s later the sender goes on; its clock says that it was 10 s.
        for (n, payload) in (0..).zip(&tone[50..]) {
            let mut packet = packet(epoch, 50 + n, 6000 + 20 * n, payload);
            packet.rtp_time += 480_000;
            track.push(packet).expect("written");
        }
        let end = epoch + Duration::from_secs(8);
        let heard = played(&track.finish(Some(end)).expect("written"));
        assert!(heard.len().abs_diff(8 * 48_000) < 960, "{} samples", heard.len());
        for (from, to, sounds) in [
            (0.0, 1.98, false),
            (2.05, 3.0, true),
            (3.2, 5.98, false),
            (6.05, 7.0, true),
            (7.2, 7.9, false),
        ] {
            let level = rms_dbfs(seconds(&heard, from, to));
            let expected = if sounds { -9.0 } else { -120.0 };
            assert!((level - expected).abs() < 1.5, "{level:.1} dBFS from {from} to {to} s");
        }
    }

    #[test]
    fn packets_are_put_in_order_once_each_and_a_lost_one_is_concealed_in_its_place() {
        let (epoch, tone) = (Instant::now(), tone(100));
        let in_order = {
            let mut track = track(epoch);
            for (n, payload) in (0..).zip(&tone) {
                track.push(packet(epoch, n, 20 * n, payload)).expect("written");
            }
            played(&track.finish(Some(epoch + Duration::from_secs(2))).expect("written"))
        };
        let mut track = track(epoch);
        for n in (0..100).step_by(2) {
            let pair = if n == 0 { [0, 1, 1] } else { [n + 1, n, n] };
            for n in pair {
                if n != 60 {
                    let packet = packet(epoch, n, 20 * n, &tone[n as usize]);
                    track.push(packet).expect("written");
                }
            }
            track.follow(epoch + Duration::from_millis(20 * n)).expect("written");
        }
        assert_eq!(track.gaps(), 1);
        let heard = played(&track.finish(Some(epoch + Duration::from_secs(2))).expect("written"));
        assert_eq!(heard.len(), in_order.len());
        assert!(seconds(&heard, 0.0, 1.2) == seconds(&in_order, 0.0, 1.2), "as in order");
        let concealed = rms_dbfs(seconds(&heard, 1.2, 1.22));
        assert!((concealed + 9.0).abs() < 3.0, "{concealed:.1} dBFS in the place of the lost one");
        let rest: Vec<_> = seconds(&heard, 1.3, 1.9)
            .iter()
            .zip(seconds(&in_order, 1.3, 1.9))
            .map(|(a, b)| a - b)
            .collect();
        assert!(rms_dbfs(&rest) < -40.0, "what follows is in its place: {:.1}", rms_dbfs(&rest));
    }

    #[test]
    fn packets_that_are_held_up_on_the_way_are_in_the_place_that_later_ones_tell() {
        let (epoch, tone) = (Instant::now(), tone(50));
        let mut track = track(epoch);
        for (n, payload) in (0..).zip(&tone) {
            // The first ones come all at once.
            track.push(packet(epoch, n, 2000 + (20 * n).max(120), payload)).expect("written");
        }
        let heard = played(&track.finish(Some(epoch + Duration::from_secs(4))).expect("written"));
        for (from, to, sounds) in [(1.9, 1.99, false), (2.02, 2.98, true), (3.1, 3.9, false)] {
            let level = rms_dbfs(seconds(&heard, from, to));
            let expected = if sounds { -9.0 } else { -120.0 };
            assert!((level - expected).abs() < 1.5, "{level:.1} dBFS from {from} to {to} s");
        }
    }

    #[test]
    fn a_sender_whose_times_jump_makes_no_file_longer_than_it_lasted() {
        let (epoch, tone) = (Instant::now(), tone(50));
        let mut track = track(epoch);
        for (n, payload) in (0..).zip(&tone) {
            let mut packet = packet(epoch, n, 20 * n, payload);
            packet.rtp_time += n % 7 * 0xffff_ffff;
            track.push(packet).expect("written");
        }
        let heard = played(&track.finish(Some(epoch + Duration::from_secs(1))).expect("written"));
        assert!(heard.len() < 2 * 48_000, "{} samples", heard.len());
    }

    #[test]
    fn what_was_written_plays_though_nothing_ended_it() {
        let (epoch, tone) = (Instant::now(), tone(150));
        let mut track = track(epoch);
        for (n, payload) in (0..).zip(&tone) {
            track.push(packet(epoch, n, 20 * n, payload)).expect("written");
            if n % 25 == 24 {
                track.follow(epoch + Duration::from_millis(20 * n)).expect("written");
                track.end_page().expect("written");
            }
        }
        let bytes = track.stream.out_so_far().to_vec();
        let heard = played(&bytes);
        assert_eq!(heard.len(), 3 * 48_000);
        // A page that was cut off costs itself alone.
        let heard = played(&bytes[..bytes.len() - 100]);
        assert!(heard.len() >= 2 * 48_000, "{} samples", heard.len());
    }
}
