//! Datagrams in a stream of bytes: two bytes of length, most significant first, before each (RFC
//! 4571).

use std::fmt;

/// The longest datagram that is taken. What WebRTC sends fits into packets of the network, as it
/// would by UDP.
pub(crate) const MAX_FRAME_BYTES: usize = 2048;
/// The shortest that is one: of RTCP, whose header alone may be all (RFC 3550). Who sends nothing else would have
/// thousands looked at for one read.
const MIN_FRAME_BYTES: usize = 8;
/// Of the length before each.
const HEADER_BYTES: usize = 2;
/// Of the longest datagram with its length.
pub(crate) const MAX_FRAMED_BYTES: usize = HEADER_BYTES + MAX_FRAME_BYTES;
/// Some datagrams that come at once are read at once.
const BUFFER_BYTES: usize = 8 * 1024;

/// Takes datagrams out of the bytes of a stream, however those are split. Allocates once, 8 KiB.
pub struct Deframer {
    bytes: Box<[u8; BUFFER_BYTES]>,
    /// What is there and was not passed: from the one to the other.
    first: usize,
    end: usize,
}

impl Default for Deframer {
    fn default() -> Self {
        Self { bytes: Box::new([0; BUFFER_BYTES]), first: 0, end: 0 }
    }
}

impl Deframer {
    /// Where the stream is read into next; never empty once [`Self::datagram`] had none.
    pub fn space(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.first..self.end, 0);
        self.end -= self.first;
        self.first = 0;
        &mut self.bytes[self.end..]
    }

    /// So many bytes were read into [`Self::space`].
    ///
    /// # Panics
    /// If it has less.
    pub fn add(&mut self, bytes: usize) {
        self.end += bytes;
        assert!(self.end <= BUFFER_BYTES, "more than there was room for");
    }

    /// The next datagram, once all of it is there; those of less than 8 bytes are left out.
    ///
    /// # Errors
    /// When it is longer than 2048 bytes: nothing that follows makes sense then.
    pub fn datagram(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        while let Some(length) = self.length() {
            if length > MAX_FRAME_BYTES {
                return Err(FrameTooLong(length));
            }
            let behind = self.first + HEADER_BYTES + length;
            if behind > self.end {
                return Ok(None);
            }
            if length >= MIN_FRAME_BYTES {
                return Ok(Some(&self.bytes[self.first + HEADER_BYTES..behind]));
            }
            // RFC 4571 has empty ones, which say nothing.
            self.first = behind;
        }
        Ok(None)
    }

    /// Goes on behind the datagram that [`Self::datagram`] had.
    pub fn pass(&mut self) {
        let length = self.length().unwrap_or_default();
        self.first = (self.first + HEADER_BYTES + length).min(self.end);
    }

    /// Of the next datagram, once that is there.
    fn length(&self) -> Option<usize> {
        let header = self.bytes[self.first..self.end].first_chunk()?;
        Some(usize::from(u16::from_be_bytes(*header)))
    }
}

impl fmt::Debug for Deframer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deframer").field("unread", &(self.end - self.first)).finish()
    }
}

/// Writes `datagram` with its length before it, if that is allowed, and says how long both are.
pub(crate) fn frame(datagram: &[u8], into: &mut [u8; MAX_FRAMED_BYTES]) -> Option<usize> {
    let length = u16::try_from(datagram.len()).ok()?;
    let end = HEADER_BYTES + datagram.len();
    let bytes = into.get_mut(HEADER_BYTES..end)?;
    bytes.copy_from_slice(datagram);
    into[..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
    Some(end)
}

/// A frame is longer than any datagram that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong(usize);

impl fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame of {} bytes, of which there may be {MAX_FRAME_BYTES}", self.0)
    }
}

impl std::error::Error for FrameTooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream holds that was read in `parts`.
    fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, FrameTooLong> {
        let mut deframer = Deframer::default();
        let mut datagrams = Vec::new();
        for part in parts {
            let mut part = part;
            while !part.is_empty() {
                let space = deframer.space();
                let fits = part.len().min(space.len());
                space[..fits].copy_from_slice(&part[..fits]);
                deframer.add(fits);
                part = &part[fits..];
                while let Some(datagram) = deframer.datagram()? {
                    datagrams.push(datagram.to_vec());
                    deframer.pass();
                }
            }
        }
        Ok(datagrams)
    }

    fn framed(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for datagram in datagrams {
            let mut into = [0; MAX_FRAMED_BYTES];
            let length = frame(datagram, &mut into).expect("not too long");
            bytes.extend(&into[..length]);
        }
        bytes
    }

    #[test]
    fn datagrams_are_the_same_wherever_the_stream_is_split() {
        let datagrams =
            [vec![7; 8], vec![1; 20], vec![0; 300], (0..=255).collect(), vec![9; MAX_FRAME_BYTES]];
        let bytes = framed(&datagrams);
        for split in 0..=bytes.len() {
            let (one, other) = bytes.split_at(split);
            assert_eq!(read([one, other]).expect("none is too long"), datagrams, "at {split}");
        }
        assert_eq!(read(bytes.chunks(1)).expect("none is too long"), datagrams, "byte by byte");
        // More than the buffer holds, in reads of all lengths.
        let many: Vec<_> = (0..100)
            .map(|number| vec![number; MIN_FRAME_BYTES + usize::from(number) * 20])
            .collect();
        let bytes = framed(&many);
        for length in (1..600).step_by(7).chain([BUFFER_BYTES, bytes.len()]) {
            assert_eq!(read(bytes.chunks(length)).expect("none is too long"), many, "{length}");
        }
    }

    #[test]
    fn frames_that_are_empty_or_too_short_for_a_datagram_are_passed_over() {
        let (short, least) = (vec![5; MIN_FRAME_BYTES - 1], vec![6; MIN_FRAME_BYTES]);
        let [empty, one] = [vec![], vec![7]];
        let frames = [&empty, &empty, &short, &least, &one, &empty, &least, &one].map(Clone::clone);
        let bytes = framed(&frames);
        for split in 0..=bytes.len() {
            let (first, other) = bytes.split_at(split);
            let read = read([first, other]).expect("short");
            assert_eq!(read, [least.clone(), least.clone()], "at {split}");
        }
        assert_eq!(read([&[0; 3 * BUFFER_BYTES][..]]).expect("short"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_frame_that_is_too_long_is_told_by_its_length_alone() {
        assert_eq!(read([&[8, 1][..]]), Err(FrameTooLong(2049)));
        assert_eq!(read([&b"GET / HTTP/1.1\r\n"[..]]), Err(FrameTooLong(0x4745)));
        let mut into = [0; MAX_FRAMED_BYTES];
        assert_eq!(frame(&[0; 2048], &mut into), Some(2050));
        assert_eq!(frame(&[0; 2049], &mut into), None);
        assert_eq!(frame(&[0; 70_000], &mut into), None);
    }
}
