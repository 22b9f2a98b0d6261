//! Changing what rooms and participants sound like while they talk.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use foldback_chain::{ChainBuildError, ChainSpec};
use foldback_config::{Config, RefusedOverride};
use foldback_room::{ChainChange, ParticipantId};
use foldback_worker::{Command, RoomKey};

use crate::chain_view::ChainView;
use crate::conference::{Conference, Running};
use crate::happenings::What;
use crate::live::{RoomChains, StageChange};
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};
use crate::roster::RoomState;
use crate::sentences::capitalised;

/// How often whoever waits for a worker's answer makes sure that it runs.
const LOOK_AT_WORKER: Duration = Duration::from_millis(100);

impl Conference {
    /// The chain of a room as it runs, or as it would; of one participant with `id`.
    ///
    /// # Errors
    /// `bad-room`, if no chain serves it; `not-found`, if the participant is not in it.
    pub fn chain_view(
        &self,
        room: &str,
        id: Option<ParticipantId>,
    ) -> Result<ChainView, ErrorMessage> {
        let configured = self.chain_of(room)?;
        let state = self.state();
        let open = state.rooms.get(room);
        let Some(id) = id else {
            let closed = || {
                let info = self.running().chain_info(&configured);
                ChainView::of_room(&configured, &info, &[])
            };
            let view = |open: &RoomState| {
                ChainView::of_room(open.chains.chain(), &open.info, open.readings())
            };
            return Ok(open.map_or_else(closed, view));
        };
        let open = open.filter(|open| open.people.contains_key(&id));
        let open = open.ok_or_else(|| not_here(room, Some(id)))?;
        let (chain, own) = (open.chains.chain_of(id), open.chains.own_name(id));
        let info = open.own.get(&id).unwrap_or(&open.info);
        Ok(ChainView::of_participant(open.chains.chain(), chain, info, own, id, open.readings()))
    }

    /// Another of the configured chains, as it is configured, for a room, or for the part before
    /// `mix` of one participant.
    ///
    /// # Errors
    /// `bad-chain`, `bad-room`, `not-found`, `bad-param` or `internal`.
    pub fn use_chain(
        &self,
        room: &str,
        id: Option<ParticipantId>,
        name: &str,
    ) -> Result<(), ErrorMessage> {
        let running = self.running();
        let chain = running.config.pick_chain(Some(name));
        let chain = chain
            .map_err(|sentence| ErrorMessage::new(ErrorCode::BadChain, capitalised(&sentence)))?;
        self.change(room, id, |chains| {
            match id {
                Some(id) => chains.set_own_chain(id, chain),
                None => chains.set_chain(chain),
            }
            Ok(())
        })
    }

    /// Changes stages of a room, or some before `mix` for one participant: all of `changes`, in one
    /// fade, or none.
    ///
    /// # Errors
    /// `bad-stage`, `bad-param`, `bad-room`, `not-found` or `internal`.
    pub(crate) fn set_stages(
        &self,
        room: &str,
        id: Option<ParticipantId>,
        changes: &[StageChange<'_>],
    ) -> Result<(), ErrorMessage> {
        let set = |chains: &mut RoomChains, change| match id {
            Some(id) => chains.set_own_stage(id, change),
            None => chains.set_stage(change),
        };
        self.change(room, id, |chains| {
            changes.iter().try_for_each(|change| set(chains, change)).map_err(refused)
        })
    }

    /// Gives a room the chain of its `[[room]]` again, as it is configured. What is a participant's
    /// own stays so.
    ///
    /// # Errors
    /// `bad-room`, `not-found` or `internal`.
    pub fn use_configured_chain(&self, room: &str) -> Result<(), ErrorMessage> {
        let rule = self.chain_of(room)?;
        self.change(room, None, |chains| {
            chains.unset_chain(&rule);
            Ok(())
        })
    }

    /// Gives a participant the room's stages before `mix` again.
    ///
    /// # Errors
    /// `bad-room`, `not-found` or `internal`.
    pub fn use_rooms_chain(&self, room: &str, id: ParticipantId) -> Result<(), ErrorMessage> {
        self.change(room, Some(id), |chains| {
            chains.remove_own(id);
            Ok(())
        })
    }

    /// Leaves out the stages of these kinds before `mix` for one participant, whose client does itself
    /// what they do, and no others that were left out so before. They stay left out whatever chain the
    /// room gets.
    ///
    /// # Errors
    /// `not-joined`, `bad-stage` or `internal`.
    pub(crate) fn spare(&self, id: ParticipantId, kinds: &[String]) -> Result<(), ErrorMessage> {
        let room = self.room_with(id)?;
        self.change(&room, Some(id), |chains| chains.spare(id, kinds).map_err(refused))
    }

    /// The room that a participant is in.
    ///
    /// # Errors
    /// `not-joined`.
    pub(crate) fn room_with(&self, id: ParticipantId) -> Result<String, ErrorMessage> {
        self.state().room_of(id).map(|(name, _)| name.to_owned())
    }

    /// Goes on with another configuration: rooms that are open with their new chain, without a
    /// click, unless it serves them no more; rooms that open from now on as it says. What was
    /// changed at run time stays changed where a stage of that name and kind is still there. Of
    /// `[server]`, `[opus]` and `[latency]` nothing changes. Returns how many rooms got another
    /// chain. Builds stages: takes some milliseconds for each participant.
    pub fn reload(&self, config: Config) -> usize {
        let running = Running::new(config);
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&running);
        let rooms: Vec<_> = self.state().rooms.keys().cloned().collect();
        let reload = |room: &&String| {
            let Some(rule) = running.chain_of(room) else { return false };
            let mut dropped = Vec::new();
            let changed = self.try_change(room, &running, |chains| {
                dropped = chains.reload(&running.config, rule);
                Ok(())
            });
            for stage in dropped {
                tracing::warn!(%room, %stage, "what was changed of this no longer applies");
            }
            changed.unwrap_or_else(|error| {
                let error = error.message;
                tracing::error!(%room, %error, "the room keeps the chain that it had");
                false
            })
        };
        rooms.iter().filter(reload).count()
    }

    /// Gives a room that is open, with that participant in it, the chains that `edit` makes of its.
    fn change(
        &self,
        room: &str,
        id: Option<ParticipantId>,
        edit: impl FnOnce(&mut RoomChains) -> Result<(), ErrorMessage>,
    ) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let here = self
            .state()
            .rooms
            .get(room)
            .is_some_and(|open| id.is_none_or(|id| open.people.contains_key(&id)));
        if !here {
            return Err(not_here(room, id));
        }
        self.try_change(room, &self.running(), edit).map(|_| ())
    }

    /// Gives a room the chains that `edit` makes of its, once its worker has taken them, which takes
    /// a tick or two; false if it sounds as before.
    fn try_change(
        &self,
        name: &str,
        running: &Running,
        edit: impl FnOnce(&mut RoomChains) -> Result<(), ErrorMessage>,
    ) -> Result<bool, ErrorMessage> {
        let room = |open: &RoomState| (open.key, Arc::clone(&open.turn));
        let Some((key, turn)) = self.state().rooms.get(name).map(room) else {
            return Ok(false);
        };
        let _turn = turn.blocking_lock();
        let Some((chains, people)) =
            self.state().open(name, key).map(|open| (open.chains.clone(), open.media()))
        else {
            return Ok(false);
        };
        let mut next = chains.clone();
        edit(&mut next)?;
        let changed = !next.sounds_as(&chains);
        let info = running.chain_info(next.chain());
        let own = next.own_chains().map(|(id, chain)| (id, running.chain_info(chain)));
        let mut own: BTreeMap<_, _> = own.collect();
        let mut taken = true;
        if next.chain().format != chains.chain().format {
            return Err(other_channels(next.chain()));
        }
        if changed {
            let inputs = chains.inputs(&next, &people);
            let change = ChainChange::build(chains.chain(), next.chain(), &inputs);
            let change = Box::new(change.map_err(cannot_be_built)?);
            taken = self.deliver(name, key, change)?;
        }
        let mut state = self.state();
        let Some(open) = state.open(name, key) else { return Ok(false) };
        if !taken {
            return Err(not_taken(name));
        }
        let all_change = chains.chain() != next.chain();
        let tell = |participant, chain: &ChainSpec| {
            let (room, chain) = (name.to_owned(), chain.name.clone());
            self.happenings.tell(What::ChainChanged { room, participant, chain });
        };
        if all_change {
            tell(None, next.chain());
        }
        for (id, member) in &mut open.people {
            if !all_change && chains.chain_of(*id) != next.chain_of(*id) {
                tell(Some(id.0), next.chain_of(*id));
            }
            // Whoever does something itself does it as the room's chain says.
            let follows = next.is_spared(*id) && all_change;
            if follows || chains.chain_of(*id) != next.chain_of(*id) {
                let chain = own.get(id).unwrap_or(&info).clone();
                member.tell(&ServerMessage::ChainChanged { chain });
            }
        }
        next.retain_own(|id| open.people.contains_key(&id));
        own.retain(|id, _| open.people.contains_key(id));
        (open.chains, open.info, open.own) = (next, info, own);
        Ok(changed)
    }

    /// Brings a change to the worker of a room and waits for its answer: whether it took it. From a
    /// worker that has ended no answer comes, nor of a room that was closed.
    fn deliver(
        &self,
        name: &str,
        key: RoomKey,
        change: Box<ChainChange>,
    ) -> Result<bool, ErrorMessage> {
        let (answer, answered) = sync_channel(1);
        let worker = {
            let mut state = self.state();
            let Some(open) = state.open(name, key) else { return Ok(false) };
            self.command(open.worker, Command::ChangeChain(key, change))?;
            open.answer = Some(answer);
            open.worker
        };
        loop {
            match answered.recv_timeout(LOOK_AT_WORKER) {
                Ok(taken) => return Ok(taken),
                Err(RecvTimeoutError::Timeout) if self.workers[worker].is_running() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Ok(false);
                }
            }
        }
    }
}

fn refused(refused: RefusedOverride) -> ErrorMessage {
    match refused {
        RefusedOverride::Stage(sentence) => ErrorMessage::new(ErrorCode::BadStage, sentence),
        RefusedOverride::Param(sentence) => ErrorMessage::new(ErrorCode::BadParam, sentence),
    }
}

fn cannot_be_built(error: ChainBuildError) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::BadParam, capitalised(&error.to_string()))
}

fn other_channels(chain: &ChainSpec) -> ErrorMessage {
    let (is, was) = match chain.format.channels {
        1 => ("mono", "stereo"),
        _ => ("stereo", "mono"),
    };
    let name = &chain.name;
    let sentence = format!(
        "Chain `{name}` is {is} and the room is {was}, which stays so while anybody is in it."
    );
    ErrorMessage::new(ErrorCode::BadChain, sentence)
}

fn not_taken(room: &str) -> ErrorMessage {
    tracing::error!(%room, "the worker did not take the room's new chain");
    let sentence = "The room's worker did not take the change: it sounds as before. Try again.";
    ErrorMessage::new(ErrorCode::Internal, sentence)
}

pub(crate) fn not_here(room: &str, id: Option<ParticipantId>) -> ErrorMessage {
    let sentence = match id {
        Some(id) => format!("Nobody with the number {id} is in the room `{room}`."),
        None => format!("Nobody is in the room `{room}`: what is to change is its configuration."),
    };
    ErrorMessage::new(ErrorCode::NotFound, sentence)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::extract::ws::Utf8Bytes;
    use foldback_metrics::Metrics;
    use foldback_room::Economies;
    use foldback_stage::RawValue;
    use foldback_worker::{MediaSocket, WorkerConfig, spawn};
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::auth::Admitted;
    use crate::plugins;
    use crate::returning::Way;

    const CHAINS: &str = "[chain.talk]\nstages = [{ kind = \"gain\" }, { kind = \"mix\" }]\n\
        [chain.quiet]\nstages = [{ kind = \"gate\" }, { kind = \"mix\" }]\n\
        [[room]]\nname = \"*\"\nchain = \"talk\"\n";

    /// On one worker, with somebody without audio in the room `lobby`, and what they are told.
    fn conference() -> (Arc<Conference>, Receiver<Utf8Bytes>) {
        let config = Config::parse(CHAINS, "t.toml", &plugins::registry()).expect("valid");
        let own = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let socket = MediaSocket::bind(0, &own, &own).expect("a port");
        let metrics = Metrics::default();
        let (events, mut queue) = channel(64);
        let worker = WorkerConfig {
            index: 0,
            max_load: 0.0,
            threads: 1,
            realtime_priority: 0,
            socket,
            metrics: metrics.for_worker(),
            events,
            on_start: || {},
        };
        let workers = vec![spawn(worker).expect("a thread")];
        let conference = Conference::new(config, workers, Economies::default(), metrics);
        let pump = Arc::clone(&conference);
        std::thread::spawn(move || {
            while let Some(event) = queue.blocking_recv() {
                pump.handle(event);
            }
        });
        let (outbox, told) = channel(64);
        conference
            .join(&Admitted::of("lobby", "Ann"), Way::Door, Some(outbox))
            .expect("the room is served");
        (conference, told)
    }

    fn set_gain_db(conference: &Conference, db: i64) -> Result<(), ErrorMessage> {
        let params = vec![("gain_db", RawValue::Int(db))];
        let change = StageChange { stage: "gain", enabled: None, params };
        conference.set_stages("lobby", None, &[change])
    }

    fn shown(conference: &Conference) -> ChainView {
        conference.chain_view("lobby", None).expect("the room is served")
    }

    #[test]
    fn a_room_keeps_its_channels_while_anybody_is_in_it() {
        let (conference, _told) = conference();
        let stereo = CHAINS.replace("[chain.quiet]\n", "[chain.quiet]\nchannels = 2\n");
        let stereo = Config::parse(&stereo, "t.toml", &plugins::registry()).expect("valid");
        assert_eq!(conference.reload(stereo), 0);
        let before = shown(&conference);
        let refused = conference.use_chain("lobby", None, "quiet").expect_err("it is mono");
        assert_eq!(refused.code, ErrorCode::BadChain);
        assert!(refused.message.contains("is stereo and the room is mono"), "{}", refused.message);
        assert_eq!(shown(&conference), before);
    }

    #[test]
    fn a_change_is_believed_once_the_worker_took_it() {
        let (conference, mut told) = conference();
        let before = shown(&conference);
        set_gain_db(&conference, -3).expect("the worker takes it");
        assert_ne!(shown(&conference), before);
        let told = told.try_recv().expect("a message");
        assert!(told.contains("chain-changed"), "{told}");
    }

    #[test]
    fn a_change_that_the_worker_refuses_is_told_to_the_caller_and_leaves_all_as_it_was() {
        let (conference, mut told) = conference();
        let before = shown(&conference);
        // The room runs another chain than the conference believes: no change fits it any more.
        let config = &conference.running().config;
        let (talk, quiet) = (config.chain("talk").expect("talk"), config.chain("quiet"));
        let stray = ChainChange::build(talk, quiet.expect("quiet"), &[]).expect("it builds");
        let key = conference.state().rooms["lobby"].key;
        assert_eq!(conference.deliver("lobby", key, Box::new(stray)), Ok(true));

        let refused = set_gain_db(&conference, -3).expect_err("it does not fit");
        assert_eq!(refused.code, ErrorCode::Internal);
        assert!(refused.message.contains("it sounds as before"), "{}", refused.message);
        assert_eq!(shown(&conference), before);
        assert!(told.try_recv().is_err(), "nobody is told of a change that there is none of");
        conference.reload(
            Config::parse(&CHAINS.replace("gain", "delay"), "t.toml", &plugins::registry())
                .expect("valid"),
        );
        assert_eq!(shown(&conference), before, "nor does a reload change what is believed");
    }
}
