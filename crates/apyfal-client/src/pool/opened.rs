//! A session on one host, while the pool's start is under way.

use apyfal_core::Session;

use crate::remote::Remote;

/// A session that was opened on a host. Where the start is given up before all hosts have answered, such
/// as by Ctrl-C, nobody else knows of it: it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    remote: &'a Remote,
    session: Option<Session>,
}

impl<'a> Opened<'a> {
    pub(super) fn on(remote: &'a Remote, session: Session) -> Self {
        Self { remote, session: Some(session) }
    }

    /// The session, which goes on.
    pub(super) fn keep(mut self) -> Option<Session> {
        self.session.take()
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.remote.stop_beside(session.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use apyfal_core::Report;

    use super::*;
    use crate::remote::RemoteOptions;

    #[tokio::test]
    async fn a_session_of_a_start_that_is_given_up_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, asked) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            sender.send(line).unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let remote = Remote::new(RemoteOptions::new(url)).unwrap();
        let opened = |id: &str| {
            let session = Session { id: id.to_owned(), report: Report::default() };
            Opened::on(&remote, session)
        };
        assert_eq!(opened("kept").keep().unwrap().id, "kept");
        drop(opened("given-up"));
        remote.ended().await;
        let line = asked.try_recv().expect("it has ended there");
        assert_eq!(line, "DELETE /v2/sessions/given-up HTTP/1.1\r\n");
    }
}
