//! Decoded audio that waits to be pulled, what was pulled just before, and when it arrived.

use std::time::Instant;

use foldback_stage::{AudioBlock, StageFormat};

use crate::planes::Planes;

/// Samples kept behind the read position: the past that stretching repeats and concealment goes
/// on from. 30 ms.
pub(crate) const HISTORY: usize = 1440;
/// Packets of 20 ms need no more room than shorter ones; browsers send no others.
const LEAST_PACKET_SAMPLES: usize = 960;
/// Room beside the longest packet: for the past, for what is left of other packets and what
/// stretching looks at (60 ms at most), and for what is put in before and after the packet (30 ms).
const MARGIN: usize = HISTORY + 2_880 + 1_440;
const MAX_ARRIVALS: usize = 64;

/// A bounded queue of samples with a past. Allocates where it is told so.
pub(crate) struct SampleFifo {
    samples: Planes,
    /// Where the next sample to pop lies; at least [`HISTORY`].
    start: usize,
    end: usize,
    popped: u64,
    /// Ring of (position behind a packet's last sample, arrival of that packet).
    arrivals: [Option<(u64, Instant)>; MAX_ARRIVALS],
    first_arrival: usize,
    arrival_count: usize,
}

impl SampleFifo {
    /// Has no room until it is to [expect](Self::expect) packets. Allocates nothing.
    pub(crate) fn new(format: StageFormat) -> Self {
        Self {
            samples: Planes::new(format, 0),
            start: HISTORY,
            end: HISTORY,
            popped: 0,
            arrivals: [None; MAX_ARRIVALS],
            first_arrival: 0,
            arrival_count: 0,
        }
    }

    /// Makes room for packets of so many samples. Allocates if there were none as long before.
    pub(crate) fn expect(&mut self, packet_samples: usize) {
        self.samples.grow(MARGIN + packet_samples.max(LEAST_PACKET_SAMPLES));
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Samples popped so far.
    pub(crate) fn position(&self) -> u64 {
        self.popped
    }

    /// What waits, the oldest first; of stereo the middle.
    pub(crate) fn waiting(&self) -> &[f32] {
        &self.samples.first()[self.start..self.end]
    }

    /// The last [`HISTORY`] samples popped, then what waits; of stereo the middle.
    pub(crate) fn with_history(&self) -> &[f32] {
        &self.samples.first()[self.start - HISTORY..self.end]
    }

    /// The last `n` samples popped, [`HISTORY`] at most, of each plane.
    pub(crate) fn last_popped(&self, n: usize) -> impl Iterator<Item = &[f32]> {
        let range = self.start - n.min(HISTORY)..self.start;
        self.samples.iter().map(move |plane| &plane[range.clone()])
    }

    /// Space for `n` samples at the end, cleared; `None` if so much does not fit.
    pub(crate) fn push_space(&mut self, n: usize) -> Option<AudioBlock<'_>> {
        self.make_room(n);
        let mut space = self.samples.get_mut(self.end..self.end + n)?;
        let (first, second) = space.sides_mut();
        first.fill(0.0);
        if let Some(second) = second {
            second.fill(0.0);
        }
        self.end += n;
        Some(space)
    }

    /// The `n` samples pushed last, of each plane.
    pub(crate) fn newest_mut(&mut self, n: usize) -> impl Iterator<Item = &mut [f32]> {
        let range = self.end.saturating_sub(n).max(self.start)..self.end;
        self.samples.iter_mut().map(move |plane| &mut plane[range.clone()])
    }

    /// Takes back the last `n` samples of the space.
    pub(crate) fn unpush(&mut self, n: usize) {
        self.end = self.end.saturating_sub(n).max(self.start);
    }

    /// Notes that the packet which ends with the last sample pushed came at `arrival`.
    pub(crate) fn mark_arrival(&mut self, arrival: Instant) {
        if self.arrival_count == MAX_ARRIVALS {
            return;
        }
        let slot = (self.first_arrival + self.arrival_count) % MAX_ARRIVALS;
        self.arrivals[slot] = Some((self.popped + self.len() as u64, arrival));
        self.arrival_count += 1;
    }

    /// The next packet whose last sample lies before `position`, oldest first.
    pub(crate) fn next_arrival_before(&mut self, position: u64) -> Option<Instant> {
        let (end, arrival) = self.arrivals[self.first_arrival]?;
        if end > position {
            return None;
        }
        self.arrivals[self.first_arrival] = None;
        self.first_arrival = (self.first_arrival + 1) % MAX_ARRIVALS;
        self.arrival_count -= 1;
        Some(arrival)
    }

    /// Moves the oldest samples to `out`; what is missing is silence.
    pub(crate) fn pop(&mut self, out: &mut AudioBlock<'_>) {
        let n = out.frames();
        self.fill_up(n);
        self.samples.read(self.start, out);
        self.take(n);
    }

    /// Takes out the `n` oldest samples; what is missing is silence.
    pub(crate) fn skip(&mut self, n: usize) {
        self.fill_up(n);
        self.take(n);
    }

    fn fill_up(&mut self, n: usize) {
        let missing = n.saturating_sub(self.len());
        if missing > 0 {
            let _ = self.push_space(missing);
        }
    }

    fn take(&mut self, n: usize) {
        self.start += n;
        self.popped += n as u64;
    }

    /// Forgets what waits. The past stays: what comes next may have to go on from it.
    pub(crate) fn clear(&mut self) {
        self.end = self.start;
        if self.arrival_count > 0 {
            self.arrivals = [None; MAX_ARRIVALS];
            self.arrival_count = 0;
        }
    }

    /// Takes `n` samples out of the front: what waits fades into what waits `n` samples later over
    /// `fade` samples. Nothing happens if less than `n + fade` samples wait.
    pub(crate) fn remove(&mut self, n: usize, fade: usize, law: FadeLaw) -> bool {
        if self.len() < n + fade {
            return false;
        }
        for plane in self.samples.iter_mut() {
            let x = &mut plane[self.start..self.end];
            for i in 0..fade {
                let (out, into) = law.gains(i, fade);
                x[n + i] = x[i] * out + x[n + i] * into;
            }
            // Closed from behind, so that the past stays what was played.
            x.copy_within(n.., 0);
        }
        self.end -= n;
        self.move_arrivals(-(n as i64));
        true
    }

    /// Puts `n` samples in front of what waits: the last `n` played are played once more, with
    /// what waits fading into them over `fade` samples first. Nothing happens if less than `fade`
    /// samples wait or `n` is longer than the past.
    pub(crate) fn repeat(&mut self, n: usize, fade: usize, law: FadeLaw) -> bool {
        if self.len() < fade || n > HISTORY || fade > n {
            return false;
        }
        self.make_room(n);
        if self.end + n > self.samples.len() {
            return false;
        }
        for plane in self.samples.iter_mut() {
            plane.copy_within(self.start..self.end, self.start + n);
            for i in 0..n {
                let here = self.start + i;
                let past = plane[here - n];
                // The future's first samples lie behind the gap that was opened.
                plane[here] = match i < fade {
                    true => {
                        let (out, into) = law.gains(i, fade);
                        plane[here + n] * out + past * into
                    }
                    false => past,
                };
            }
        }
        self.end += n;
        self.move_arrivals(n as i64);
        true
    }

    fn move_arrivals(&mut self, by: i64) {
        // What was popped stays where it was, though it may not have been told yet.
        for (end, _) in self.arrivals.iter_mut().flatten().filter(|(end, _)| *end > self.popped) {
            *end = end.saturating_add_signed(by).max(self.popped);
        }
    }

    fn make_room(&mut self, n: usize) {
        if self.end <= self.samples.len() && self.end + n > self.samples.len() {
            let from = self.start - HISTORY;
            for plane in self.samples.iter_mut() {
                plane.copy_within(from..self.end, 0);
            }
            self.start -= from;
            self.end -= from;
        }
    }
}

/// How one sound fades into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FadeLaw {
    /// Amplitudes add up: for two that are alike.
    Amplitude,
    /// Powers add up: for two that have nothing in common, as noise.
    Power,
}

impl FadeLaw {
    /// Gains of what goes and what comes at sample `i` of `n`.
    pub(crate) fn gains(self, i: usize, n: usize) -> (f32, f32) {
        let x = (i as f32 + 0.5) / n as f32;
        match self {
            Self::Amplitude => (1.0 - x, x),
            Self::Power => ((1.0 - x).sqrt(), x.sqrt()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
mod tests {
    use super::*;

    fn push(fifo: &mut SampleFifo, samples: impl ExactSizeIterator<Item = f32>) {
        let mut space = fifo.push_space(samples.len()).expect("fits");
        space.planes_mut().flatten().zip(samples).for_each(|(slot, s)| *slot = s);
    }

    #[test]
    fn samples_come_out_in_order_over_many_wraps() {
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        let (mut next_in, mut next_out) = (0u32, 0u32);
        for _ in 0..200 {
            push(&mut fifo, (0..960u32).map(|i| (next_in + i) as f32));
            next_in += 960;
            for _ in 0..2 {
                let mut block = [0.0; 480];
                fifo.pop(&mut AudioBlock::mono(&mut block));
                assert_eq!(block[0], next_out as f32);
                assert_eq!(block[479], (next_out + 479) as f32);
                next_out += 480;
            }
        }
        assert_eq!(fifo.position(), 200 * 960);
        let past = fifo.with_history();
        assert_eq!((past.len(), past[HISTORY - 1]), (HISTORY, (next_out - 1) as f32));
    }

    #[test]
    fn an_arrival_is_told_once_its_last_sample_was_popped() {
        let now = Instant::now();
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        push(&mut fifo, std::iter::repeat_n(0.0, 960));
        fifo.mark_arrival(now);
        let mut block = [0.0; 480];
        fifo.pop(&mut AudioBlock::mono(&mut block));
        assert_eq!(fifo.next_arrival_before(fifo.position()), None);
        fifo.pop(&mut AudioBlock::mono(&mut block));
        assert_eq!(fifo.next_arrival_before(fifo.position()), Some(now));
        assert_eq!(fifo.next_arrival_before(fifo.position()), None);
    }

    #[test]
    fn what_is_removed_and_repeated_moves_the_arrivals_along() {
        let now = Instant::now();
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        push(&mut fifo, (0..1440u16).map(f32::from));
        fifo.mark_arrival(now);
        fifo.skip(480);
        assert!(fifo.repeat(240, 0, FadeLaw::Amplitude));
        assert_eq!(fifo.waiting()[..3], [240.0, 241.0, 242.0]);
        assert_eq!(fifo.waiting()[240], 480.0);
        assert!(fifo.remove(100, 0, FadeLaw::Amplitude));
        assert_eq!(fifo.waiting()[0], 340.0);
        fifo.skip(1099);
        assert_eq!(fifo.next_arrival_before(fifo.position()), None);
        fifo.skip(1);
        assert_eq!(fifo.next_arrival_before(fifo.position()), Some(now));
    }

    #[test]
    fn stretching_moves_no_arrival_whose_sound_was_popped_but_not_told_yet() {
        let now = Instant::now();
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        push(&mut fifo, std::iter::repeat_n(0.5, 960));
        fifo.mark_arrival(now);
        push(&mut fifo, std::iter::repeat_n(0.5, 960));
        fifo.skip(960);
        assert!(fifo.repeat(480, 0, FadeLaw::Amplitude));
        assert_eq!(fifo.next_arrival_before(960), Some(now));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        push(&mut fifo, std::iter::repeat_n(0.5, 300));
        assert!(!fifo.remove(200, 101, FadeLaw::Amplitude));
        assert!(!fifo.repeat(HISTORY + 1, 0, FadeLaw::Amplitude));
        assert!(!fifo.repeat(400, 301, FadeLaw::Amplitude));
        assert_eq!(fifo.len(), 300);
    }
}
