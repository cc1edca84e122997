//! Noticing that the other end's system is gone, which sends nothing to say so.
//!
//! Gone is who acknowledges nothing, and not who takes nothing: a program that reads late keeps its
//! window closed, while its system acknowledges whatever asks whether it is open. `TCP_USER_TIMEOUT`
//! does not tell the two apart, so this looks itself. Where nothing is under way, the system asks
//! (`SO_KEEPALIVE`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::tcp;

/// A connection that breaks off where the system at its other end has not answered for too long, and
/// sends what is written at once.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    gone: Duration,
    /// How long the other end may take nothing of what is written, and since when it does not.
    untaken: Option<Duration>,
    full_since: Option<Instant>,
    /// Set up once something is waited for.
    looks: Option<Interval>,
    silence: Silence,
}

impl Watched {
    /// After `gone` without an answer the other end's system is taken for gone.
    pub fn new(stream: TcpStream, gone: Duration) -> Self {
        // Where the system knows one of these not, it works without.
        let _ = stream.set_nodelay(true);
        let _ = sockopt::set_socket_keepalive(&stream, true);
        let _ = sockopt::set_tcp_keepidle(&stream, gone / 2);
        let _ = sockopt::set_tcp_keepintvl(&stream, gone / 4);
        let _ = sockopt::set_tcp_keepcnt(&stream, 2);
        let _ = tcp::repeat_within(&stream, gone / 4);
        let silence = Silence::new(Instant::now());
        Self { stream, gone, untaken: None, full_since: None, looks: None, silence }
    }

    /// The same where the other end may take nothing for so long, though its system is there.
    #[must_use]
    pub fn taken_within(self, limit: Duration) -> Self {
        Self { untaken: Some(limit), ..self }
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.full_since = None;
            return written;
        }
        self.full_since.get_or_insert_with(Instant::now);
        self.wait(context)
    }

    /// Waits on, or breaks off.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let pause = self.gone / 4;
        let looks = self.looks.get_or_insert_with(|| {
            let mut looks = interval_at(tokio::time::Instant::now() + pause, pause);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        while looks.poll_tick(context).is_ready() {
            let full = self.full_since.map(|since| since.elapsed());
            if let (Some(full), Some(limit)) = (full, self.untaken)
                && full >= limit
            {
                let why = format!("nothing was taken for {} s", limit.as_secs_f64());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
            // Where the system does not tell, it goes on.
            let Ok(answers) = tcp::answers(&self.stream) else { continue };
            if self.silence.lasted(answers, Instant::now(), self.gone / 2) >= self.gone {
                // Nobody is there to whom what is left could be sent.
                let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
                let why = format!("its system has not answered for {} s", self.gone.as_secs());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
        }
        Poll::Pending
    }
}

/// For how long the other end's system has owed an answer.
#[derive(Debug)]
struct Silence {
    looked: Instant,
    lasted: Duration,
}

impl Silence {
    fn new(now: Instant) -> Self {
        Self { looked: now, lasted: Duration::ZERO }
    }

    /// How long it has been by now. Who comes late to look, be it that this process was stopped, has
    /// not seen what was answered meanwhile: a pause counts for no more than `longest`.
    fn lasted(&mut self, answers: tcp::Answers, now: Instant, longest: Duration) -> Duration {
        let pause = now.duration_since(std::mem::replace(&mut self.looked, now));
        // The pauses between questions may be long, so an old answer alone says nothing.
        if !answers.are_missing || answers.last < pause {
            self.lasted = Duration::ZERO;
            return Duration::ZERO;
        }
        self.lasted += pause.min(longest);
        self.lasted.min(answers.last)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.wait(context),
            ready => ready,
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answers(last: u32, are_missing: bool) -> tcp::Answers {
        tcp::Answers { last: last * SECOND, are_missing }
    }

    #[test]
    fn only_who_owes_an_answer_is_silent() {
        let begin = Instant::now();
        let mut silence = Silence::new(begin);
        let mut look = |at: u32, last, are_missing| {
            let now = begin + at * SECOND;
            silence.lasted(answers(last, are_missing), now, 10 * SECOND).as_secs()
        };
        // Nothing was asked for an hour, or it was and is answered.
        assert_eq!(look(3600, 3600, false), 0);
        assert_eq!(look(3605, 0, true), 0);
        // A closed window is asked about after a long pause.
        assert_eq!(look(3610, 5, false), 0);
        assert_eq!(look(3700, 95, false), 0);
        assert_eq!(look(3705, 100, true), 5);
        assert_eq!(look(3710, 2, true), 0);
        // Nobody looked for a minute, at whose end a question was under way.
        assert_eq!(look(3770, 61, true), 10);
        assert_eq!(look(3775, 2, true), 0);
        // Now it is gone.
        assert_eq!(look(3780, 7, true), 5);
        assert_eq!(look(3785, 12, true), 10);
        assert_eq!(look(3795, 22, true), 20);
        assert_eq!(look(3800, 0, false), 0);
    }

    /// A connection within this machine.
    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (stream.unwrap(), accepted.unwrap().0)
    }

    /// More than the system takes for a reader that does not come.
    const MUCH: usize = 40_000_000;

    #[tokio::test]
    async fn who_never_reads_is_left_after_a_while() {
        let (stream, never) = connected().await;
        let limit = SECOND;
        let mut writer = Watched::new(stream, limit).taken_within(limit);
        let error = writer.write_all(&vec![7; MUCH]).await.unwrap_err();
        assert!(error.to_string().contains("nothing was taken for 1 s"), "{error}");
        drop(never);
    }

    #[tokio::test]
    async fn who_reads_late_is_there() {
        let (stream, mut reader) = connected().await;
        // The pauses of the system between two questions are its own, and less than this.
        let mut writer = Watched::new(stream, 3 * SECOND);
        let (data, mut sent) = (vec![7; MUCH], 0);
        // It is looked four times until a system counts as gone, so this one had enough twice.
        let (mut looked, mut looks) = (writer.silence.looked, 0);
        std::future::poll_fn(|context| {
            while let Poll::Ready(written) =
                Pin::new(&mut writer).poll_write(context, &data[sent..])
            {
                sent += written.unwrap();
            }
            looks += usize::from(looked != writer.silence.looked);
            looked = writer.silence.looked;
            if looks < 8 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        let mut read = Vec::new();
        let sending = async {
            writer.write_all(&data[sent..]).await.unwrap();
            drop(writer);
        };
        let (received, ()) = tokio::join!(reader.read_to_end(&mut read), sending);
        assert_eq!(received.unwrap(), MUCH);
    }
}
