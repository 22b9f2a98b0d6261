//! All rooms and workers, as operators see them.

use std::collections::HashMap;
use std::time::Duration;

use foldback_room::ParticipantId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::conference::{Conference, ECHO_ROOMS};
use crate::message::LevelInfo;
use crate::report::ParticipantInfo;

/// What is told of who is not among those that a worker names as not silent.
const SILENCE_DBFS: f32 = -90.0;

/// A room that somebody is in.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RoomOverview {
    room: String,
    /// The number of its worker.
    worker: usize,
    /// The name of its chain.
    chain: String,
    /// Whether hosts alone come in.
    locked: bool,
    /// In the order of their coming.
    participants: Vec<MemberOverview>,
}

/// Somebody in it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct MemberOverview {
    #[serde(flatten)]
    info: ParticipantInfo,
    muted_by_operator: bool,
    /// By how much louder all the others hear them than they come out of their chain.
    gain_db: f32,
    /// After their chain.
    level_dbfs: f32,
    /// In the mix.
    talking: bool,
    /// The chain that their stages before `mix` are of, if it is their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_chain: Option<String>,
}

/// A media thread.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct WorkerOverview {
    worker: usize,
    running: bool,
    /// The share of its time that it was busy of late; above 1 if it cannot keep up.
    busy: f32,
    shedding_level: u8,
    /// What that level leaves out.
    shedding: &'static str,
    rooms: usize,
    participants: usize,
    /// Rooms that several threads share.
    rooms_divided: usize,
    tick_lateness_ms: Lateness,
    /// Since the start.
    ticks_skipped: u64,
}

/// Of the last second, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
struct Lateness {
    mean: f32,
    max: f32,
}

impl Conference {
    /// Every room that somebody is in, by name; those of the echo test are left out.
    pub(crate) fn rooms_overview(&self) -> Vec<RoomOverview> {
        let state = self.state();
        let open = state.rooms.iter().filter(|(name, _)| !name.starts_with(ECHO_ROOMS));
        let mut rooms: Vec<_> = open
            .map(|(name, open)| {
                let levels = open.levels.iter().flat_map(|levels| levels.iter());
                let levels: HashMap<ParticipantId, LevelInfo> =
                    levels.map(|level| (level.id, LevelInfo::new(*level))).collect();
                let participants = open.people.iter().map(|(id, member)| {
                    let level = levels.get(id);
                    MemberOverview {
                        info: ParticipantInfo::new(member.person.clone(), member.report),
                        muted_by_operator: member.muted_by_operator,
                        gain_db: member.gain_db,
                        level_dbfs: level.map_or(SILENCE_DBFS, |level| level.level_dbfs),
                        talking: level.is_some_and(|level| level.talking),
                        own_chain: open.chains.own_name(*id).map(str::to_owned),
                    }
                });
                RoomOverview {
                    room: name.clone(),
                    worker: open.worker,
                    chain: open.chains.chain().name.clone(),
                    locked: open.locked,
                    participants: participants.collect(),
                }
            })
            .collect();
        rooms.sort_by(|one, other| one.room.cmp(&other.room));
        rooms
    }

    /// Every worker, by number, as it told of itself last.
    pub(crate) fn workers_overview(&self) -> Vec<WorkerOverview> {
        let state = self.state();
        let ms = |time: Duration| (time.as_secs_f32() * 1e5).round() / 100.0;
        let workers = self.workers.iter().enumerate().map(|(worker, handle)| {
            let told = state.placement.of(worker);
            WorkerOverview {
                worker,
                running: handle.is_running(),
                busy: (told.busy * 1e3).round() / 1e3,
                shedding_level: told.shedding.level(),
                shedding: told.shedding.about(),
                rooms: state.rooms.values().filter(|room| room.worker == worker).count(),
                participants: state.people_on(worker),
                rooms_divided: told.ticks.divided,
                tick_lateness_ms: Lateness {
                    mean: ms(told.ticks.mean_lateness),
                    max: ms(told.ticks.max_lateness),
                },
                ticks_skipped: told.ticks.skipped,
            }
        });
        workers.collect()
    }
}
