//! What is to be done.

use reqwest::Url;

/// What a load consists of.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Where the server is: `http://HOST:PORT`, for Janus `http://HOST:PORT/PATH`.
    pub url: String,
    /// How clients join.
    pub signalling: Signalling,
    /// The PIN of the rooms, where they have one.
    pub pin: Option<String>,
    /// A join token, where they ask for one.
    pub token: Option<String>,
    /// Names of rooms begin with it.
    pub room_prefix: String,
    /// Rooms.
    pub rooms: usize,
    /// Participants of each room.
    pub participants: usize,
    /// Of these, those who talk.
    pub talkers: usize,
    /// Joins per second, over all rooms; more than 0.
    pub joins_per_s: f64,
    /// How long is measured, after everybody joined.
    pub seconds: f64,
    /// How each of the clients is.
    pub clients: ClientPlan,
    /// The server's process, if it runs on this machine.
    pub server_pid: Option<u32>,
}

/// How clients are.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// What talkers say, mono at 48 kHz, again and again; each takes the next one.
    /// Not empty, and neither is any of them.
    pub voices: Vec<Vec<f32>>,
    /// Talkers send nothing in pauses but a packet every 400 ms (Opus DTX).
    pub dtx: bool,
    /// Listeners send a packet of silence every 20 ms rather than every 400 ms.
    pub listeners_send_silence: bool,
    /// The share of clients whose packets are decoded, in percent.
    pub decode_percent: f64,
    /// Threads of the clients' media.
    pub threads: usize,
}

/// How clients join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// Over foldback's WebSocket, as its page does. It tells who else is there and how loud.
    WebSocket,
    /// By one `POST /offer`.
    Offer,
    /// Of another server: the AudioBridge of Janus, by its HTTP API.
    Janus,
}

impl LoadPlan {
    /// Everybody.
    #[must_use]
    pub fn everybody(&self) -> usize {
        self.rooms * self.participants
    }

    /// Checks what cannot be done, and reads the URL.
    pub(crate) fn check(&self) -> Result<Url, String> {
        let url = Url::parse(&self.url);
        let url = url.map_err(|error| {
            format!("--url is {:?}, must be http://HOST:PORT: {error}", self.url)
        })?;
        if url.scheme() != "http" || url.host_str().is_none() {
            return Err(format!(
                "--url is {:?}, must be http://HOST:PORT (TLS is not spoken: load the plain port)",
                self.url
            ));
        }
        if self.talkers > self.participants {
            return Err(format!(
                "--talkers is {}, must be 0 to {}: they are among the participants of a room",
                self.talkers, self.participants
            ));
        }
        Ok(url)
    }

    /// Which clients are listened to, by their place in the order of joining. As evenly spread as
    /// can be among those who are no first talker: these send the markers.
    pub(crate) fn is_decoded(&self, place: usize) -> bool {
        let first_talkers = if self.talkers > 0 { self.rooms } else { 0 };
        let (Some(place), others) =
            (place.checked_sub(first_talkers), self.everybody() - first_talkers)
        else {
            return false;
        };
        let wanted =
            (self.everybody() as f64 * self.clients.decode_percent / 100.0).ceil() as usize;
        let wanted = wanted.min(others);
        // From the last one, who is a listener where there is any.
        let from_end = others - 1 - place;
        (from_end * wanted) / others != (from_end * wanted + wanted) / others
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan() -> LoadPlan {
        LoadPlan {
            url: "http://localhost:8080".to_owned(),
            signalling: Signalling::WebSocket,
            pin: None,
            token: None,
            room_prefix: "load".to_owned(),
            rooms: 1,
            participants: 4,
            talkers: 1,
            joins_per_s: 10.0,
            seconds: 1.0,
            clients: ClientPlan {
                voices: vec![vec![0.1; 960]],
                dtx: false,
                listeners_send_silence: false,
                decode_percent: 5.0,
                threads: 1,
            },
            server_pid: None,
        }
    }

    #[test]
    fn what_cannot_be_done_is_told_with_what_is_allowed() {
        let refused = |change: fn(&mut LoadPlan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.check().expect_err("cannot be done")
        };
        assert!(
            refused(|plan| plan.url = "localhost:8080".to_owned()).contains("http://HOST:PORT")
        );
        assert!(refused(|plan| plan.url = "https://localhost".to_owned()).contains("TLS"));
        assert!(refused(|plan| plan.talkers = 5).contains("must be 0 to 4"));
        assert!(plan().check().is_ok());
    }

    #[test]
    fn as_many_are_decoded_as_was_asked_for_and_never_those_who_send_the_markers() {
        for (rooms, participants, percent, expected) in
            [(1, 500, 5.0, 25), (1, 4, 5.0, 1), (100, 4, 5.0, 20), (2, 2, 100.0, 2), (1, 9, 0.0, 0)]
        {
            let mut plan = LoadPlan { rooms, participants, ..plan() };
            plan.clients.decode_percent = percent;
            let decoded: Vec<_> = (0..plan.everybody()).filter(|p| plan.is_decoded(*p)).collect();
            assert_eq!(decoded.len(), expected, "{rooms} rooms of {participants}: {decoded:?}");
            assert!(decoded.iter().all(|place| *place >= rooms), "{decoded:?}");
        }
    }
}
