//! Changing what rooms and participants sound like while they talk.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use foldback_chain::ChainBuildError;
use foldback_config::{Config, RefusedOverride};
use foldback_room::{ChainChange, ParticipantId};
use foldback_worker::Command;

use crate::chain_view::ChainView;
use crate::conference::{Conference, Running, capitalised};
use crate::live::{RoomChains, StageChange};
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};

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
            let chain = open.map_or(&configured, |open| open.chains.chain());
            let readings = open.map(|open| open.readings.as_slice()).unwrap_or_default();
            return Ok(ChainView::of_room(chain, readings));
        };
        let open = open.filter(|open| open.people.contains_key(&id));
        let open = open.ok_or_else(|| not_here(room, Some(id)))?;
        let own = open.chains.own_name(id);
        Ok(ChainView::of_participant(open.chains.chain_of(id), own, id, &open.readings))
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

    /// Changes a stage of a room, or one before `mix` for one participant.
    ///
    /// # Errors
    /// `bad-stage`, `bad-param`, `bad-room`, `not-found` or `internal`.
    pub(crate) fn set_stage(
        &self,
        room: &str,
        id: Option<ParticipantId>,
        change: &StageChange<'_>,
    ) -> Result<(), ErrorMessage> {
        let set = |chains: &mut RoomChains| match id {
            Some(id) => chains.set_own_stage(id, change),
            None => chains.set_stage(change),
        };
        self.change(room, id, |chains| set(chains).map_err(refused))
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
            let changed = self.try_change(room, &running, &mut |chains| {
                dropped = chains.reload(&running.config, rule);
                Ok(())
            });
            for stage in dropped {
                tracing::warn!(%room, %stage, "what was changed of this stage no longer applies");
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
        edit: impl Fn(&mut RoomChains) -> Result<(), ErrorMessage>,
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
        self.try_change(room, &self.running(), &mut |chains| edit(chains)).map(|_| ())
    }

    /// Gives a room the chains that `edit` makes of its; false if it sounds as before. Edits again
    /// if the room changes meanwhile.
    fn try_change(
        &self,
        name: &str,
        running: &Running,
        edit: &mut dyn FnMut(&mut RoomChains) -> Result<(), ErrorMessage>,
    ) -> Result<bool, ErrorMessage> {
        loop {
            let known = self
                .state()
                .rooms
                .get(name)
                .map(|room| (room.chains.clone(), room.revision, room.media()));
            let Some((chains, revision, people)) = known else { return Ok(false) };
            let mut next = chains.clone();
            edit(&mut next)?;
            let same = next.sounds_as(&chains);
            // Not under the lock, since it takes its time; and once more if the room changed.
            let inputs = chains.inputs(&next, &people);
            let change = ChainChange::build(chains.chain(), next.chain(), &inputs);
            let change = Box::new(change.map_err(cannot_be_built)?);
            let info = running.chain_info(next.chain());
            let own = next.own_chains().map(|(id, chain)| (id, running.chain_info(chain)));
            let own: BTreeMap<_, _> = own.collect();
            let mut state = self.state();
            let Some(room) = state.rooms.get_mut(name) else { return Ok(false) };
            if room.revision != revision || room.media().iter().any(|id| !people.contains(id)) {
                continue;
            }
            if !same {
                self.command(room.worker, Command::ChangeChain(room.key, change))?;
            }
            for (id, member) in &mut room.people {
                if chains.chain_of(*id) != next.chain_of(*id) {
                    let chain = own.get(id).unwrap_or(&info).clone();
                    member.tell(&ServerMessage::ChainChanged { chain });
                }
            }
            room.chains = next;
            room.info = info;
            room.revision += 1;
            return Ok(!same);
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

fn not_here(room: &str, id: Option<ParticipantId>) -> ErrorMessage {
    let sentence = match id {
        Some(id) => format!("Nobody with the number {id} is in the room `{room}`."),
        None => format!("Nobody is in the room `{room}`: what is to change is its configuration."),
    };
    ErrorMessage::new(ErrorCode::NotFound, sentence)
}
