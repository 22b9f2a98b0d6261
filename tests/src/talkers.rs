//! People who talk, by the command that puts load on a server.

use std::process::{Child, Command, Stdio};

use crate::Server;
use crate::binary::foldback;

/// People in a room of a server, some of whom talk, until this is dropped.
#[derive(Debug)]
pub struct Talkers(Child);

impl Talkers {
    /// Has so many `people` join, of whom the first `talkers` talk.
    ///
    /// # Panics
    /// If the command does not start.
    #[must_use]
    pub fn join(server: &Server, people: usize, talkers: usize) -> Self {
        let clients = Command::new(foldback())
            .args(["load", "--url", &server.url("/"), "--seconds", "600"])
            .args(["--participants", &people.to_string(), "--talkers", &talkers.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(clients.expect("the command runs"))
    }
}

impl Drop for Talkers {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        ended.expect("they ran until now");
    }
}
