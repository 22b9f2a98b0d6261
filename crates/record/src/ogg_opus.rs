//! A stream of Opus packets in Ogg (RFC 7845).

use std::io::{self, Write};
use std::time::Duration;

use ogg::writing::{PacketWriteEndInfo, PacketWriter};

use crate::opus;

/// A page is written at least so often.
pub const PAGE: Duration = Duration::from_millis(500);
/// So many samples at the beginning are for decoders to settle, and not played (section 4.2).
const PRE_SKIP: u16 = 3840;
const VENDOR: &str = concat!("foldback ", env!("CARGO_PKG_VERSION"));

/// Writes packets to `out`, page by page.
pub(crate) struct OggOpus<W> {
    out: W,
    pages: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    /// Not given to a page yet, since it may be the last of one.
    last: Option<Vec<u8>>,
    /// Samples up to the end of `last`.
    granule: u64,
    bytes: u64,
}

impl<W: Write> OggOpus<W> {
    /// Begins a stream of one or two channels with what is to be said of it, as `(NAME, value)`.
    pub(crate) fn new(
        out: W,
        channels: u8,
        serial: u32,
        comments: &[(&str, &str)],
    ) -> io::Result<Self> {
        let pages = PacketWriter::new(Vec::new());
        let mut stream = Self { out, pages, serial, last: None, granule: 0, bytes: 0 };
        let mut head = b"OpusHead\x01".to_vec();
        head.push(channels);
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(48_000_u32.to_le_bytes());
        // Neither gain nor a mapping of channels.
        head.extend([0, 0, 0]);
        let mut tags = b"OpusTags".to_vec();
        let mut text = |text: &str| {
            tags.extend((text.len() as u32).to_le_bytes());
            tags.extend(text.as_bytes());
        };
        text(VENDOR);
        let mut list = Vec::from((comments.len() as u32).to_le_bytes());
        for comment in comments.iter().map(|(name, value)| format!("{name}={value}")) {
            list.extend((comment.len() as u32).to_le_bytes());
            list.extend(comment.as_bytes());
        }
        tags.extend(list);
        for header in [head, tags] {
            stream.pages.write_packet(header, serial, PacketWriteEndInfo::EndPage, 0)?;
        }
        stream.write_out()?;
        stream.silence(u64::from(PRE_SKIP))?;
        Ok(stream)
    }

    /// Samples that are played so far.
    pub(crate) fn position(&self) -> u64 {
        self.granule.saturating_sub(PRE_SKIP.into())
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next packet, of so many samples.
    pub(crate) fn packet(&mut self, packet: Vec<u8>, samples: u32) -> io::Result<()> {
        self.pass_on(PacketWriteEndInfo::NormalPacket)?;
        self.last = Some(packet);
        self.granule += u64::from(samples);
        Ok(())
    }

    /// So many samples of silence, but for less than 2.5 ms.
    pub(crate) fn silence(&mut self, samples: u64) -> io::Result<()> {
        let mut left = samples;
        while let Some((packet, samples)) = opus::silence(left) {
            self.packet(packet.to_vec(), samples)?;
            left -= u64::from(samples);
        }
        Ok(())
    }

    /// Writes all that there is out.
    pub(crate) fn end_page(&mut self) -> io::Result<()> {
        self.pass_on(PacketWriteEndInfo::EndPage)?;
        self.write_out()
    }

    /// Writes all out, and the mark of the end.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        if self.last.is_none() {
            self.silence(960)?;
        }
        self.pass_on(PacketWriteEndInfo::EndStream)?;
        self.write_out()?;
        Ok(self.out)
    }

    fn pass_on(&mut self, end: PacketWriteEndInfo) -> io::Result<()> {
        match self.last.take() {
            Some(last) => self.pages.write_packet(last, self.serial, end, self.granule),
            None => Ok(()),
        }
    }

    /// In one piece, so that a page is there whole or not at all.
    fn write_out(&mut self) -> io::Result<()> {
        let pages = std::mem::take(self.pages.inner_mut());
        self.out.write_all(&pages)?;
        self.bytes += pages.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
impl OggOpus<Vec<u8>> {
    pub(crate) fn out_so_far(&self) -> &[u8] {
        &self.out
    }
}
