//! Memory for payloads, used again and again.

use std::sync::Arc;

/// What is kept at most, in bytes: some thousand packets of speech.
const MAX_KEPT: usize = 1 << 20;
/// What an `Arc` keeps beside its contents.
const COUNTS: usize = 2 * size_of::<usize>();

/// Keeps the memory of payloads that were sent. str0m takes a payload as `Arc<[u8]>`, whose length
/// is fixed when it is made, so memory is kept by length: what speech makes of lengths, some
/// hundred, is there after some seconds, and nothing is allocated from then on.
#[derive(Debug, Default)]
pub struct Payloads {
    by_length: Vec<Vec<Arc<[u8]>>>,
    kept_bytes: usize,
}

impl Payloads {
    /// A payload of `length` bytes that `fill` writes. Allocates if none of that length is kept.
    pub fn make(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> Arc<[u8]> {
        let mut payload = match self.by_length.get_mut(length).and_then(Vec::pop) {
            Some(kept) => {
                self.kept_bytes -= length + COUNTS;
                kept
            }
            None => std::iter::repeat_n(0, length).collect(),
        };
        // Nobody else holds what is kept.
        if let Some(bytes) = Arc::get_mut(&mut payload) {
            fill(bytes);
        }
        payload
    }

    /// A copy of `bytes`, as [`Self::make`].
    pub fn copy(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        self.make(bytes.len(), |payload| payload.copy_from_slice(bytes))
    }

    /// Takes the memory of a payload back. If somebody else still holds it, it is theirs.
    pub fn take_back(&mut self, mut payload: Arc<[u8]>) {
        let (length, bytes) = (payload.len(), payload.len() + COUNTS);
        if Arc::get_mut(&mut payload).is_none() || self.kept_bytes + bytes > MAX_KEPT {
            return;
        }
        if self.by_length.len() <= length {
            self.by_length.resize_with(length + 1, Vec::new);
        }
        self.by_length[length].push(payload);
        self.kept_bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_is_used_for_the_next_of_its_length() {
        let mut payloads = Payloads::default();
        let first = payloads.copy(&[1, 2, 3]);
        let memory = first.as_ptr();
        payloads.take_back(first);
        assert_ne!(payloads.copy(&[9; 4]).as_ptr(), memory);
        let second = payloads.copy(&[4, 5, 6]);
        assert_eq!((&*second, second.as_ptr()), (&[4, 5, 6][..], memory));
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let mut payloads = Payloads::default();
        let many: Vec<_> = (0..10_000).map(|n| payloads.copy(&vec![7; n % 300])).collect();
        many.into_iter().for_each(|payload| payloads.take_back(payload));
        let kept = payloads.by_length.iter().flatten().map(|payload| payload.len() + COUNTS);
        assert_eq!(kept.sum::<usize>(), payloads.kept_bytes);
        assert!(payloads.kept_bytes <= MAX_KEPT && payloads.kept_bytes > MAX_KEPT / 2);
        (0..10_000).for_each(|n| drop(payloads.copy(&vec![7; n % 300])));
        assert_eq!(payloads.kept_bytes, 0);
    }

    #[test]
    fn what_somebody_still_holds_is_not_written_over() {
        let mut payloads = Payloads::default();
        let held = payloads.copy(&[1, 2, 3]);
        payloads.take_back(Arc::clone(&held));
        let next = payloads.copy(&[4, 5, 6]);
        assert_eq!((&*held, &*next), (&[1, 2, 3][..], &[4, 5, 6][..]));
    }
}
