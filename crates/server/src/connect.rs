//! Answering the offer of somebody who joined, and bringing what was built for them to a worker.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use foldback_peer::{EchoStrings, Flow, IceRestart, OfferError, Peer, PeerOptions};
use foldback_room::{Admission, Codec, LatencyProfile, ParticipantId, RoomSpec};
use foldback_worker::{Command, Connection, Join};
use tokio::sync::oneshot;

use crate::conference::Conference;
use crate::message::{ErrorCode, ErrorMessage};
use crate::roster::not_joined;
use crate::sentences::capitalised;

/// ICE may start anew five times at once, and once more in each 2 s.
pub(crate) const RESTARTS_BURST: Duration = Duration::from_secs(10);
const RESTART_COST: Duration = Duration::from_secs(2);

impl Conference {
    /// Answers the SDP offer of a person who joined: the first one with a session, another one by
    /// having ICE start anew.
    ///
    /// # Errors
    /// `bad-sdp`, `not-acceptable`, `already-connected`, `too-fast`, `not-joined` or `internal`.
    pub async fn connect(&self, id: ParticipantId, offer: String) -> Result<String, ErrorMessage> {
        let (worker, spec, echo, flow, is_first) = {
            let mut state = self.state();
            let (_, room) = state.room_of(id)?;
            let member = room.people.get_mut(&id).ok_or_else(not_joined)?;
            let is_first = !std::mem::replace(&mut member.media, true);
            if !is_first && !member.restarts.take(Instant::now(), RESTART_COST) {
                return Err(too_fast());
            }
            let flow = member.flow;
            let chain = Arc::clone(room.chains.chain_of(id));
            let echo = if chain.mix.is_none() { EchoStrings::Yes } else { EchoStrings::No };
            (room.worker, self.spec(chain), echo, flow, is_first)
        };
        let options = PeerOptions {
            candidates: self.workers[worker].candidates().to_vec(),
            tcp_candidates: self.tcp_candidates(),
            packet_ms: (spec.latency == LatencyProfile::Low).then_some(10),
            stereo_bps: spec.stereo_bps(),
            wall_clock: Some((Instant::now(), SystemTime::now())),
            flow,
        };
        if !is_first {
            let answer = Box::pin(self.restart_ice(id, worker, offer, options)).await?;
            self.learn_ice_name(id, worker, &answer);
            return Ok(answer);
        }
        // Making a session and its stages takes some milliseconds of computing.
        let build = move || -> Result<_, BuildError> {
            let (peer, answer) = Peer::accept(&offer, &options, echo, Instant::now())?;
            check_flow(flow, &peer)?;
            let admission = Admission::build(&spec)?;
            let (connection, codec) = (peer.into(), Codec::Opus);
            Ok((answer, Box::new(Built { connection, codec, admission, spec })))
        };
        let built = tokio::task::spawn_blocking(build).await;
        let result = match built {
            Ok(Ok((answer, built))) => self.hand_over(id, built).await.map(|()| answer),
            Ok(Err(BuildError::Offer(error))) => Err(bad_sdp(&error)),
            Ok(Err(BuildError::Flow(error))) => Err(error),
            Ok(Err(BuildError::Admission(error))) => Err(could_not_be_built(id, &error)),
            Err(error) => Err(could_not_be_built(id, &error)),
        };
        if let Ok(answer) = &result {
            self.learn_ice_name(id, worker, answer);
        } else if let Ok((_, room)) = self.state().room_of(id)
            && let Some(member) = room.people.get_mut(&id)
        {
            member.media = false;
        }
        result
    }

    /// Before the client has the answer, by which it connects.
    fn learn_ice_name(&self, id: ParticipantId, worker: usize, answer: &str) {
        let name = self.ice_names.add(answer, worker);
        if let Ok((_, room)) = self.state().room_of(id)
            && let Some(member) = room.people.get_mut(&id)
        {
            member.ice_name = name;
        }
    }

    async fn restart_ice(
        &self,
        id: ParticipantId,
        worker: usize,
        offer: String,
        options: PeerOptions,
    ) -> Result<String, ErrorMessage> {
        let read = tokio::task::spawn_blocking(move || IceRestart::read(&offer, options)).await;
        let restart = read.map_err(|_| ErrorMessage::internal())?.map_err(|e| bad_sdp(&e))?;
        let (sender, answer) = oneshot::channel();
        self.command(worker, Command::RestartIce(id, Box::new(restart), sender))?;
        // None where the session is gone meanwhile, or not there yet.
        let answer = answer.await.map_err(|_| already_connected())?.map_err(|e| bad_sdp(&e))?;
        answer.ok_or_else(already_connected)
    }

    /// Gives a built participant to its worker, if the person has not left meanwhile.
    pub(crate) async fn hand_over(
        &self,
        id: ParticipantId,
        mut built: Box<Built>,
    ) -> Result<(), ErrorMessage> {
        let turn = Arc::clone(&self.state().room_of(id)?.1.turn);
        let _turn = turn.lock().await;
        let chain = Arc::clone(self.state().room_of(id)?.1.chains.chain_of(id));
        if chain != built.spec.chain {
            // The room was given another chain meanwhile.
            let spec = self.spec(chain);
            let rebuild = move || -> Result<_, foldback_room::AdmissionError> {
                built.admission = Admission::build_for(&spec, built.codec)?;
                Ok(built)
            };
            let rebuilt = tokio::task::spawn_blocking(rebuild).await;
            let rebuilt = rebuilt.map_err(|error| could_not_be_built(id, &error))?;
            built = rebuilt.map_err(|error| could_not_be_built(id, &error))?;
        }
        let mut state = self.state();
        let (_, room) = state.room_of(id)?;
        let member = room.people.get(&id).ok_or_else(not_joined)?;
        let (muted, gain_db) = (member.person.muted, member.gain_db);
        let (room_key, heard) = (room.key, room.heard_otherwise(id));
        let Built { connection, admission, .. } = *built;
        let join = Join { room: room_key, id, connection, admission, muted, gain_db, heard };
        self.command(room.worker, Command::Join(Box::new(join)))?;
        let name = state.rooms_of.get(&id).cloned().unwrap_or_default();
        drop(state);
        self.chime(&name);
        Ok(())
    }
}

/// Whether sound can go the one way that it is to go.
fn check_flow(flow: Flow, peer: &Peer) -> Result<(), BuildError> {
    let (can_go, does) = match flow {
        Flow::AsOffered => return Ok(()),
        Flow::FromClient => (peer.takes_audio(), "sends (`sendonly` or `sendrecv`)"),
        Flow::ToClient => (peer.sends_audio(), "receives (`recvonly` or `sendrecv`)"),
    };
    if can_go {
        return Ok(());
    }
    let sentence = format!("The offer has no line of audio with Opus that {does}.");
    Err(BuildError::Flow(ErrorMessage::new(ErrorCode::NotAcceptable, sentence)))
}

fn bad_sdp(error: &OfferError) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::BadSdp, capitalised(&error.to_string()))
}

fn too_fast() -> ErrorMessage {
    let message = "So many offers came in a short time that this one is left out; wait 2 s.";
    ErrorMessage::new(ErrorCode::TooFast, message)
}

fn already_connected() -> ErrorMessage {
    ErrorMessage::new(
        ErrorCode::AlreadyConnected,
        "There is a connection already, and this offer has no new ICE credentials to restart it with; leave \
         and join again for a new one.",
    )
}

pub(crate) fn could_not_be_built(id: ParticipantId, error: &dyn std::fmt::Display) -> ErrorMessage {
    tracing::error!(%id, %error, "a participant could not be built");
    ErrorMessage::internal()
}

/// What a participant comes into a room with: boxed, since what a socket's task holds at one time it
/// takes room for all the time.
pub(crate) struct Built {
    pub(crate) connection: Connection,
    pub(crate) codec: Codec,
    pub(crate) admission: Admission,
    pub(crate) spec: RoomSpec,
}

enum BuildError {
    Offer(OfferError),
    Flow(ErrorMessage),
    Admission(foldback_room::AdmissionError),
}

impl From<OfferError> for BuildError {
    fn from(error: OfferError) -> Self {
        Self::Offer(error)
    }
}

impl From<foldback_room::AdmissionError> for BuildError {
    fn from(error: foldback_room::AdmissionError) -> Self {
        Self::Admission(error)
    }
}
