//! HTTP/1.1 alone, to those who read what they are told. A connection of HTTP/2 has no bound for how long nothing is asked on it, so
//! whoever opens one could keep it for ever; and a page this small gains nothing by it.
//!
//! `http1_only` of axum-server would do, but that takes no WebSockets.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_io_timeout::TimeoutWriter;

/// What a connection of HTTP/2 begins with (RFC 9113, section 3.4), and none of HTTP/1.1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Who takes nothing of what they asked for, for so long, is hung up on.
const WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// Accepts what `A` does, and hangs up where HTTP/2 is spoken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnlyHttp1<A>(pub(crate) A);

impl<A, I, S> Accept<I, S> for OnlyHttp1<A>
where
    A: Accept<I, S>,
    A::Stream: AsyncWrite,
    A::Future: Send + 'static,
{
    type Stream = Watched<Pin<Box<TimeoutWriter<A::Stream>>>>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepting = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            let mut stream = TimeoutWriter::new(stream);
            stream.set_timeout(Some(WRITE_PATIENCE));
            Ok((Watched { stream: Box::pin(stream), alike: Some(0) }, service))
        })
    }
}

/// A connection whose first bytes are looked at.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    stream: I,
    /// How many bytes of the preface have come; `None` once it was another one.
    alike: Option<usize>,
}

impl<I> Watched<I> {
    /// Whether these, which came next, make the whole preface.
    fn is_http2(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            let Some(count) = self.alike else { return false };
            self.alike = (PREFACE.get(count) == Some(byte)).then_some(count + 1);
            if self.alike == Some(PREFACE.len()) {
                return true;
            }
        }
        false
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        match self.is_http2(&buffer.filled()[before..]) {
            true => Poll::Ready(Err(io::Error::other("HTTP/2 is not spoken"))),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_however_it_comes_and_nothing_else_is() {
        let found = |parts: &[&str]| {
            let mut watched = Watched { stream: (), alike: Some(0) };
            parts.iter().any(|part| watched.is_http2(part.as_bytes()))
        };
        assert!(found(&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]));
        assert!(found(&["P", "RI * HT", "", "TP/2.0"]));
        assert!(!found(&["PRI * HTTP/1.1\r\n"]));
        assert!(!found(&["POST /offer HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n"]));
        assert!(!found(&["GET PRI * HTTP/2.0"]));
    }
}
