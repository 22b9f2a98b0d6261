//! What the control side asks for, done on the media thread.

use std::time::Instant;

use foldback_peer::IceRestart;
use foldback_room::{ChainChange, HeardAs, ParticipantId, Room};

use crate::control::{Answer, Command, Connection, Event, Join, LeaveReason, Remains, RoomKey};
use crate::media::{OpenRoom, Worker};
use crate::member::Member;
use crate::stage_times::TimedStages;

impl Worker {
    pub(crate) fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::OpenRoom(key, room) => self.open(key, room),
                Command::ChangeChain(key, change) => self.change_chain(key, *change),
                Command::CloseRoom(key) => self.close(key),
                Command::Join(join) => self.join(*join),
                Command::Leave(id) => {
                    self.say_goodbye(id);
                    self.remove(id, LeaveReason::Asked);
                }
                Command::Mute(id, muted) => {
                    if let Some(room) = self.room_of(id) {
                        room.set_muted(id, muted);
                    }
                }
                Command::Gain(id, gain_db) => {
                    if let Some(room) = self.room_of(id) {
                        room.set_gain(id, gain_db);
                    }
                }
                Command::HearAs(listener, other, heard) => {
                    self.hear_as(listener, other, heard);
                }
                Command::HearAllAs(all) => {
                    for (listener, other, heard) in all {
                        self.hear_as(listener, other, heard);
                    }
                }
                Command::LoopBack(id, duration) => {
                    if let Some(room) = self.room_of(id) {
                        room.loop_back(id, duration);
                    }
                }
                Command::Listen(ear) => self.listen(ear),
                Command::Unlisten(key, id) => self.unlisten(key, id),
                Command::Play(key, player) => {
                    let open = self.rooms.get_mut(&key);
                    let refused = match open {
                        Some(open) => open.room.play(player).err(),
                        None => Some(player),
                    };
                    if let Some(player) = refused {
                        self.tell_surely(Event::Played(key, player));
                    }
                }
                Command::StopPlaying(key, player) => {
                    if let Some(open) = self.rooms.get_mut(&key) {
                        open.room.stop_playing(player);
                    }
                }
                Command::TakeFlight(key, answer) => {
                    let open = self.rooms.get_mut(&key).filter(|_| !answer.is_closed());
                    let flight = open.and_then(|open| open.room.take_flight());
                    if let Err(Some(flight)) = answer.send(flight) {
                        self.tell_surely(Event::FlightUnclaimed(flight));
                    }
                }
                Command::TellRoom(key, text) => self.tell_room(key, &text),
                Command::Tell(id, text) => self.texts.push_back((id, text)),
                Command::RestartIce(id, restart, answer) => self.restart_ice(id, *restart, answer),
                Command::Stream(stream) => self.take_stream(stream),
                Command::Shutdown => self.shutdown = true,
            }
        }
    }

    fn hear_as(&mut self, listener: ParticipantId, other: ParticipantId, heard: HeardAs) {
        if let Some(room) = self.room_of(listener) {
            room.set_heard_as(listener, other, heard);
        }
    }

    fn room_of(&mut self, id: ParticipantId) -> Option<&mut Room> {
        let key = self.members.get(&id)?.room;
        self.rooms.get_mut(&key).map(|open| &mut *open.room)
    }

    fn restart_ice(&mut self, id: ParticipantId, restart: IceRestart, answer: Answer) {
        let now = Instant::now();
        let mut ufrag = None;
        self.with_member(id, |member, outputs| {
            let Some(peer) = member.connection.browser() else { return };
            let restarted = peer.restart_ice(restart, now, outputs);
            ufrag = Some(peer.local_ufrag().to_owned());
            // Nobody waits for it if the participant left meanwhile.
            let _ = answer.send(restarted);
        });
        if let Some(ufrag) = ufrag {
            self.demux.rename(id, &ufrag);
        }
    }

    fn open(&mut self, key: RoomKey, mut room: Box<Room>) {
        room.shed(self.load.level());
        let chain = &room.spec().chain;
        let output = TimedStages::of(&mut self.metrics, chain, &chain.output);
        self.rooms.insert(key, OpenRoom::new(room, output));
    }

    fn change_chain(&mut self, key: RoomKey, change: ChainChange) {
        self.send_stages_out();
        let result = self.try_to_change(key, change).or_else(|refused| {
            // So many are under way that the first must be over at once.
            if let Some(open) = self.rooms.get_mut(&key) {
                open.room.settle_changes();
            }
            self.send_stages_out();
            self.try_to_change(key, refused)
        });
        if let Some(open) = self.rooms.get_mut(&key).filter(|_| result.is_ok()) {
            let chain = &open.room.spec().chain;
            open.output.change_to(&mut self.metrics, chain, &chain.output);
            for (id, member) in self.members.iter_mut().filter(|(_, member)| member.room == key) {
                if let Some(chain) = open.room.chain_of(*id) {
                    member.input.change_to(&mut self.metrics, chain, &chain.input);
                }
            }
        }
        let taken = result.is_ok();
        let remains = Box::new(result.unwrap_or_else(|refused| refused));
        self.tell_surely(Event::ChainChanged { room: key, taken, remains });
    }

    #[allow(clippy::result_large_err, reason = "what is refused must be freed elsewhere")]
    fn try_to_change(
        &mut self,
        key: RoomKey,
        change: ChainChange,
    ) -> Result<ChainChange, ChainChange> {
        match self.rooms.get_mut(&key) {
            Some(open) => open.room.change_chain(change),
            None => Err(change),
        }
    }

    fn close(&mut self, key: RoomKey) {
        let inside = self.members.iter().filter(|(_, member)| member.room == key);
        let inside: Vec<_> = inside.map(|(id, _)| *id).collect();
        for id in inside {
            self.say_goodbye(id);
            self.remove(id, LeaveReason::Asked);
        }
        while let Some(ear) = self.rooms.get(&key).and_then(|open| open.ears.first()) {
            self.unlisten(key, ear.id);
        }
        if let Some(open) = self.rooms.remove(&key) {
            self.tell_surely(Event::RoomClosed(key, open.room));
        }
    }

    fn join(&mut self, join: Join) {
        let Join { room, id, connection, admission, muted, gain_db, heard } = join;
        let Some(open) = self.rooms.get_mut(&room) else {
            let remains = Remains(None, Some(connection));
            self.tell_surely(Event::Left { id, reason: LeaveReason::Failed, remains });
            return;
        };
        let chain = admission.chain();
        let input = TimedStages::of(&mut self.metrics, chain, &chain.input);
        let spare = open.room.join(id, admission);
        open.room.set_muted(id, muted);
        open.room.set_gain(id, gain_db);
        // Before its first packet: who whispers must not be heard by it.
        for (listener, other, heard) in heard {
            open.room.set_heard_as(listener, other, heard);
        }
        let is_watched = match &connection {
            Connection::Browser(peer) => {
                open.room.set_deaf(id, !peer.sends_audio());
                open.room.set_dtx(id, peer.wants_dtx());
                open.room.set_stereo(id, peer.wants_stereo());
                self.demux.add(id, peer.local_ufrag());
                true
            }
            Connection::Line(line) => {
                open.room.set_deaf(id, !line.hears());
                open.room.set_dtx(id, false);
                open.room.set_stereo(id, line.stereo());
                self.ports.add(id, line)
            }
        };
        self.members.insert(id, Member::new(room, input, connection));
        if let Some(spare) = spare {
            self.tell_surely(Event::Spare(spare));
        }
        let now = Instant::now();
        self.pass_time(id, now);
        if !is_watched {
            self.remove(id, LeaveReason::Failed);
        }
    }
}
