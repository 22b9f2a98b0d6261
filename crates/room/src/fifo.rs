//! Decoded audio that waits to be pulled, and when it arrived.

use std::time::Instant;

use crate::codec::MAX_PACKET_SAMPLES;

/// Room for the longest packet behind what is left of others and what shortening looks at.
const CAPACITY: usize = MAX_PACKET_SAMPLES + 4096;
const MAX_ARRIVALS: usize = 64;

/// Periods that shortening tries, in samples: 2.5 to 12.5 ms, the pitch of voices.
const MIN_PERIOD: usize = 120;
const MAX_PERIOD: usize = 600;

/// A bounded queue of samples. Positions count samples ever pushed and not removed; they only
/// grow. Never allocates after it was made.
pub(crate) struct SampleFifo {
    samples: Box<[f32; CAPACITY]>,
    start: usize,
    end: usize,
    popped: u64,
    /// Ring of (position behind a packet's last sample, arrival of that packet).
    arrivals: [Option<(u64, Instant)>; MAX_ARRIVALS],
    first_arrival: usize,
    arrival_count: usize,
}

impl SampleFifo {
    pub(crate) fn new() -> Self {
        Self {
            samples: Box::new([0.0; CAPACITY]),
            start: 0,
            end: 0,
            popped: 0,
            arrivals: [None; MAX_ARRIVALS],
            first_arrival: 0,
            arrival_count: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Samples popped so far, less those removed by shortening.
    pub(crate) fn position(&self) -> u64 {
        self.popped
    }

    /// Space for `n` samples at the end, cleared; `None` if so much does not fit.
    pub(crate) fn push_space(&mut self, n: usize) -> Option<&mut [f32]> {
        if self.end + n > CAPACITY {
            self.samples.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let space = self.samples.get_mut(self.end..self.end + n)?;
        space.fill(0.0);
        self.end += n;
        Some(space)
    }

    /// The `n` samples pushed last.
    pub(crate) fn newest_mut(&mut self, n: usize) -> &mut [f32] {
        &mut self.samples[self.end.saturating_sub(n).max(self.start)..self.end]
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
    pub(crate) fn pop(&mut self, out: &mut [f32]) {
        let n = out.len().min(self.len());
        out[..n].copy_from_slice(&self.samples[self.start..self.start + n]);
        out[n..].fill(0.0);
        self.start += n;
        self.popped += out.len() as u64;
    }

    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.arrivals = [None; MAX_ARRIVALS];
        self.arrival_count = 0;
    }

    /// How many samples [`Self::shorten`] looks at.
    pub(crate) const SHORTEN_NEEDS: usize = 2 * MAX_PERIOD;

    /// Takes one pitch period out of the oldest samples by overlap-add, if the signal repeats
    /// itself well enough there (or is so quiet that it does not matter). Returns the samples
    /// removed, 0 if the place does not suit.
    ///
    /// A simple form of WSOLA (Verhelst and Roelands, 1993).
    pub(crate) fn shorten(&mut self, quiet_energy: f32) -> usize {
        if self.len() < Self::SHORTEN_NEEDS {
            return 0;
        }
        let x = &mut self.samples[self.start..self.end];
        let Some(period) = best_period(x, quiet_energy) else { return 0 };
        // The first period fades into the second, which then takes its place.
        for i in 0..period {
            let fade = (i as f32 + 0.5) / period as f32;
            x[period + i] = x[i] * (1.0 - fade) + x[period + i] * fade;
        }
        self.start += period;
        for (end, _) in self.arrivals.iter_mut().flatten() {
            *end = end.saturating_sub(period as u64).max(self.popped);
        }
        period
    }
}

fn best_period(x: &[f32], quiet_energy: f32) -> Option<usize> {
    let energy = |y: &[f32]| y.iter().map(|s| s * s).sum::<f32>();
    let window = MAX_PERIOD;
    let head = energy(&x[..window]);
    if head / window as f32 <= quiet_energy {
        return Some(MAX_PERIOD.min(480));
    }
    let mut best = (0.0, 0);
    // Every fourth lag, then the neighbourhood: 48 kHz is finer than pitch needs.
    let score = |lag: usize| {
        let n = window.min(x.len() - lag);
        let (a, b) = (&x[..n], &x[lag..lag + n]);
        let cross: f32 = a.iter().zip(b).step_by(2).map(|(p, q)| p * q).sum();
        let norm = (a.iter().step_by(2).map(|s| s * s).sum::<f32>()
            * b.iter().step_by(2).map(|s| s * s).sum::<f32>())
        .sqrt();
        if norm > 0.0 { cross / norm } else { 0.0 }
    };
    for lag in (MIN_PERIOD..=MAX_PERIOD).step_by(4) {
        let s = score(lag);
        if s > best.0 {
            best = (s, lag);
        }
    }
    for lag in best.1.saturating_sub(3).max(MIN_PERIOD)..=(best.1 + 3).min(MAX_PERIOD) {
        let s = score(lag);
        if s > best.0 {
            best = (s, lag);
        }
    }
    (best.0 > 0.9).then_some(best.1)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
mod tests {
    use super::*;

    fn push(fifo: &mut SampleFifo, samples: impl ExactSizeIterator<Item = f32>) {
        let space = fifo.push_space(samples.len()).expect("fits");
        space.iter_mut().zip(samples).for_each(|(slot, s)| *slot = s);
    }

    #[test]
    fn samples_come_out_in_order_over_many_wraps() {
        let mut fifo = SampleFifo::new();
        let (mut next_in, mut next_out) = (0u32, 0u32);
        for _ in 0..200 {
            push(&mut fifo, (0..960u32).map(|i| (next_in + i) as f32));
            next_in += 960;
            for _ in 0..2 {
                let mut block = [0.0; 480];
                fifo.pop(&mut block);
                assert_eq!(block[0], next_out as f32);
                assert_eq!(block[479], (next_out + 479) as f32);
                next_out += 480;
            }
        }
        assert_eq!(fifo.position(), 200 * 960);
    }

    #[test]
    fn an_arrival_is_told_once_its_last_sample_was_popped() {
        let now = Instant::now();
        let mut fifo = SampleFifo::new();
        push(&mut fifo, std::iter::repeat_n(0.0, 960));
        fifo.mark_arrival(now);
        let mut block = [0.0; 480];
        fifo.pop(&mut block);
        assert_eq!(fifo.next_arrival_before(fifo.position()), None);
        fifo.pop(&mut block);
        assert_eq!(fifo.next_arrival_before(fifo.position()), Some(now));
        assert_eq!(fifo.next_arrival_before(fifo.position()), None);
    }

    #[test]
    fn shortening_a_tone_takes_whole_periods_and_leaves_no_click() {
        let mut fifo = SampleFifo::new();
        let step = 200.0 * std::f32::consts::TAU / 48_000.0;
        push(&mut fifo, (0..4800).map(|i| 0.5 * (i as f32 * step).sin()));
        let removed = fifo.shorten(1e-8);
        assert!(removed > 0 && removed % 240 <= 1, "removed {removed}");
        let mut out = vec![0.0; fifo.len()];
        fifo.pop(&mut out);
        let largest_step = out.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(largest_step < 0.5 * step * 1.1, "step {largest_step}");
    }

    #[test]
    fn noise_is_not_shortened() {
        let mut fifo = SampleFifo::new();
        let mut seed = 1u32;
        push(
            &mut fifo,
            (0..4800).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / 8_388_608.0 - 1.0
            }),
        );
        assert_eq!(fifo.shorten(1e-8), 0);
    }
}
