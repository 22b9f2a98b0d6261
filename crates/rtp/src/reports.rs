//! RTCP as it goes over the wire.

use rtcp_types::{
    Bye, Compound, Packet, ReceiverReport, ReportBlock, ReportBlockBuilder, RtcpPacketWriter,
    RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem, SenderReport,
};

use crate::sequence::Reception;

/// The longest compound packet of this side: a report of one stream, a name, a goodbye.
const MOST_BYTES: usize = 256;

/// What a sender report says.
pub(crate) struct Sent {
    pub(crate) ntp: u64,
    pub(crate) rtp_time: u32,
    pub(crate) packets: u32,
    pub(crate) bytes: u32,
}

/// What this side has to say.
pub(crate) struct Report<'a> {
    pub(crate) ssrc: u32,
    pub(crate) cname: &'a str,
    /// If anything was sent since the report before.
    pub(crate) sent: Option<Sent>,
    pub(crate) received: Option<Reception>,
    /// The middle of the time in the last sender report that came, and how long ago that was.
    pub(crate) last: (u32, u32),
    /// Nothing follows.
    pub(crate) goodbye: bool,
}

impl Report<'_> {
    /// Writes it over `out`. Allocates a little.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        let (last, since) = self.last;
        let block = self.received.map(|received| {
            ReportBlock::builder(received.ssrc)
                .fraction_lost(received.fraction_lost)
                .cumulative_lost(received.lost)
                .extended_sequence_number(received.highest)
                .interarrival_jitter(received.jitter)
                .last_sender_report_timestamp(last)
                .delay_since_last_sender_report_timestamp(since)
        });
        match &self.sent {
            Some(sent) => {
                let report = SenderReport::builder(self.ssrc)
                    .ntp_timestamp(sent.ntp)
                    .rtp_timestamp(sent.rtp_time)
                    .packet_count(sent.packets)
                    .octet_count(sent.bytes);
                append(out, &with(report, block, |report, block| report.add_report_block(block)));
            }
            None => {
                let report = ReceiverReport::builder(self.ssrc);
                append(out, &with(report, block, |report, block| report.add_report_block(block)));
            }
        }
        let name = SdesItem::builder(SdesItem::CNAME, self.cname);
        append(out, &Sdes::builder().add_chunk(SdesChunk::builder(self.ssrc).add_item(name)));
        if self.goodbye {
            append(out, &Bye::builder().add_source(self.ssrc));
        }
    }
}

fn with<R>(
    report: R,
    block: Option<ReportBlockBuilder>,
    add: impl FnOnce(R, ReportBlockBuilder) -> R,
) -> R {
    match block {
        Some(block) => add(report, block),
        None => report,
    }
}

fn append(out: &mut Vec<u8>, packet: &impl RtcpPacketWriter) {
    let mut bytes = [0; MOST_BYTES];
    // They have all that they need.
    let length = packet.write_into(&mut bytes).unwrap_or(0);
    out.extend_from_slice(&bytes[..length]);
}

/// What of the other side's reports concerns this one.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct News {
    /// The time in its sender report.
    pub(crate) sent_ntp: Option<u64>,
    /// The share of what was sent to it that was lost, 0 to 1.
    pub(crate) loss: Option<f32>,
    /// The last report of this side that it had, and how long it had had it.
    pub(crate) last: Option<(u32, u32)>,
    /// Whether the stream that comes has ended.
    pub(crate) goodbye: bool,
}

impl News {
    /// Of what came: about `ours`, and by whom `theirs` is sent. `None` if it is no RTCP.
    pub(crate) fn read(bytes: &[u8], ours: u32, theirs: Option<u32>) -> Option<Self> {
        let mut news = Self::default();
        for packet in Compound::parse(bytes).ok()? {
            match packet.ok()? {
                Packet::Sr(report) => {
                    news.sent_ntp = Some(report.ntp_timestamp());
                    report.report_blocks().for_each(|block| news.take(&block, ours));
                }
                Packet::Rr(report) => {
                    report.report_blocks().for_each(|block| news.take(&block, ours));
                }
                Packet::Bye(bye) => news.goodbye |= bye.ssrcs().any(|ssrc| Some(ssrc) == theirs),
                _ => {}
            }
        }
        Some(news)
    }

    fn take(&mut self, block: &ReportBlock<'_>, ours: u32) {
        if block.ssrc() != ours {
            return;
        }
        self.loss = Some(f32::from(block.fraction_lost()) / 256.0);
        let last = block.last_sender_report_timestamp();
        self.last = (last != 0).then(|| (last, block.delay_since_last_sender_report_timestamp()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_reports_the_other_reads() {
        let received = Reception { ssrc: 7, fraction_lost: 64, lost: 25, highest: 99, jitter: 30 };
        let mut report = Report {
            ssrc: 9,
            cname: "name",
            sent: Some(Sent { ntp: 5 << 32, rtp_time: 960, packets: 3, bytes: 480 }),
            received: Some(received),
            last: (0x1234_5678, 65_536),
            goodbye: true,
        };
        let mut bytes = Vec::new();
        report.write(&mut bytes);
        let news = News::read(&bytes, 7, Some(9)).expect("RTCP");
        let last = Some((0x1234_5678, 65_536));
        let expected = News { sent_ntp: Some(5 << 32), loss: Some(0.25), last, goodbye: true };
        assert_eq!(news, expected);
        (report.sent, report.received, report.goodbye) = (None, None, false);
        report.write(&mut bytes);
        assert_eq!(News::read(&bytes, 7, Some(9)), Some(News::default()));
        assert_eq!(News::read(&bytes[..bytes.len() - 3], 7, Some(9)), None);
        assert_eq!(News::read(&[0x80, 200, 0, 0], 7, None), None);
    }
}
