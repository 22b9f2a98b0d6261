//! What workers tell, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use foldback_metrics::{RecentLatency, StageReading};
use foldback_room::Level;
use foldback_worker::{Event, Figures, LeaveReason, Load, Readings, Recycled, RoomKey};

use crate::chain_view::{means, times_us};
use crate::conference::Conference;
use crate::happenings::What;
use crate::message::{LatencyInfo, LeftReason, LevelInfo, ServerMessage};
use crate::report::{ParticipantReport, tenths_of_ms};
use crate::roster::RoomState;

impl Conference {
    /// Takes in what a worker has to tell.
    pub fn handle(self: &Arc<Self>, event: Event) {
        match event {
            Event::Connected(id) => tracing::debug!(%id, "connected"),
            Event::Message { id, message } => self.take_message(id, message),
            Event::Left { id, reason, remains } => {
                drop(remains);
                let reason = match reason {
                    LeaveReason::Asked => return,
                    LeaveReason::Timeout => LeftReason::Timeout,
                    LeaveReason::ByPeer | LeaveReason::Failed => LeftReason::Closed,
                };
                self.remove(id, reason, false);
            }
            Event::ChainChanged { room, taken, remains } => {
                drop(remains);
                let mut state = self.state();
                let waits = state.room_by_key(room);
                if let Some(answer) = waits.and_then(|open| open.answer.take()) {
                    // Whoever asked waits for it.
                    let _ = answer.try_send(taken);
                }
            }
            Event::StagesOut(change) => drop(change),
            Event::FlightUnclaimed(flight) => drop(flight),
            Event::EarGone(remains) => drop(remains),
            Event::Played(room, player) => self.played(room, &player),
            Event::Spare(spare) => drop(spare),
            Event::RoomClosed(key, room) => {
                tracing::debug!(room = key.0, "room closed");
                drop(room);
            }
            Event::StreamClosed(stream) => drop(stream),
            Event::Fault(room) => self.save_fault(room),
            Event::Load(load) => self.learn_load(load),
            Event::Levels(key, levels) => self.tell_levels(key, levels),
            Event::Stats { room, server_latency, figures } => {
                self.tell_stats(room, server_latency, figures);
            }
        }
    }

    fn learn_load(&self, load: Load) {
        let Load { worker, busy, shedding, .. } = load;
        self.metrics.worker_load(worker, busy, shedding.level());
        let mut state = self.state();
        state.health.tell(&load, Instant::now());
        let people = state.people_on(worker);
        let before = state.placement.tell(load, people);
        drop(state);
        if shedding != before {
            self.happenings.tell(What::LoadShed {
                worker,
                level: shedding.level(),
                shedding: shedding.about(),
            });
        }
        let (level, percent) = (shedding.level(), (busy * 100.0).round());
        if shedding > before {
            let what = shedding.about();
            tracing::warn!(worker, level, busy_percent = percent, "shedding load: {what}");
        } else if shedding < before {
            let again = before.about();
            tracing::info!(worker, level, busy_percent = percent, "no longer shed: {again}");
        }
    }

    fn tell_levels(&self, key: RoomKey, levels: Recycled<Vec<Level>>) {
        let mut state = self.state();
        let Some(room) = state.room_by_key(key) else { return };
        let infos = levels.iter().map(|level| LevelInfo::new(*level)).collect();
        room.tell_all(&ServerMessage::Levels { levels: infos });
        room.levels = Some(levels);
    }

    fn tell_stats(&self, key: RoomKey, latency: Option<RecentLatency>, figures: Recycled<Figures>) {
        let server_latency_ms = latency.map(LatencyInfo::from).unwrap_or_default();
        let mut state = self.state();
        let Some(room) = state.room_by_key(key) else { return };
        let is_of = |side: &&Readings, id| side.id.is_none_or(|of| of == id);
        for stats in &figures.participants {
            let Some(member) = room.people.get_mut(&stats.id) else { continue };
            let report = ParticipantReport::from(stats);
            let own = figures.readings().iter().filter(|side| is_of(side, stats.id));
            member.report = Some(report);
            member.tell(&ServerMessage::Stats {
                server_latency_ms,
                jitter_buffer_ms: report.foldback.jitter_buffer_ms,
                round_trip_ms: stats.round_trip.map(tenths_of_ms),
                packets_received: report.inbound.packets_received,
                packets_lost: report.inbound.packets_lost,
                readings: means(own.clone()),
                stage_time_us: times_us(own),
                report: Box::new(report),
            });
        }
        room.figures = Some(figures);
    }

    /// Means of what stages read, over all chains that run them now: by chain, stage and reading;
    /// where the configuration asks for it, of each participant too.
    #[must_use]
    pub fn stage_readings(&self) -> Vec<StageReading> {
        let state = self.state();
        let shown = self.shown_participants(&state).unwrap_or_default();
        let mut by_chain: BTreeMap<&str, Vec<&Readings>> = BTreeMap::new();
        for side in state.rooms.values().flat_map(RoomState::readings) {
            by_chain.entry(&side.chain.name).or_default().push(side);
        }
        let mut all = Vec::new();
        for (chain, sides) in by_chain {
            for (stage, means) in means(sides.into_iter()) {
                all.extend(means.into_iter().map(|(reading, mean)| StageReading {
                    participant: None,
                    chain: chain.to_owned(),
                    stage: stage.clone(),
                    reading,
                    mean,
                }));
            }
        }
        let sides = state.rooms.values().flat_map(RoomState::readings);
        let of_one = sides.filter_map(|side| Some((side, side.id?)));
        for (side, id) in of_one.filter(|(_, id)| shown.contains(id)) {
            all.extend(side.iter().map(|(stage, reading)| StageReading {
                participant: Some(id.0),
                chain: side.chain.name.clone(),
                stage: stage.to_owned(),
                reading: reading.name,
                mean: reading.value,
            }));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::http::{StatusCode, header};
    use axum::response::IntoResponse;
    use foldback_config::Config;
    use foldback_metrics::Metrics;
    use foldback_room::{Economies, Shedding};
    use foldback_worker::{MediaSocket, Ticks, WorkerConfig, spawn};
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::auth::Admitted;
    use crate::http::HttpError;
    use crate::message::{ErrorCode, ErrorMessage};
    use crate::plugins;
    use crate::returning::Way;

    #[test]
    fn while_load_is_shed_nobody_new_gets_in_and_those_inside_go_on() {
        let chains = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
        let config = Config::parse(chains, "t.toml", &plugins::registry()).expect("valid");
        let own = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let socket = MediaSocket::bind(0, &own, &own).expect("a port");
        let metrics = Metrics::default();
        // Nobody reads what the worker tells, so that its load is what the test says.
        let (events, _queue) = channel(64);
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
        let conference = Conference::new(config, workers, Economies::default(), metrics.clone());
        let tell = |shedding| {
            let ticks = Ticks::default();
            conference.handle(Event::Load(Load { worker: 0, busy: 0.9, shedding, ticks }));
        };
        let (ann, _) =
            conference.join(&Admitted::of("lobby", "Ann"), Way::Door, None).expect("there is room");

        tell(Shedding::NONE.more());
        let refused = |result: Result<(), ErrorMessage>| {
            let error = result.expect_err("the server has too much to do");
            assert_eq!(error.code, ErrorCode::Overloaded);
            let response = HttpError::from(error).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        };
        refused(conference.join(&Admitted::of("lobby", "Bob"), Way::Door, None).map(drop));
        refused(conference.join(&Admitted::of("another", "Bob"), Way::Door, None).map(drop));
        refused(conference.join_echo(None).map(drop));
        conference.mute(ann, true).expect("who is in goes on");
        let text = metrics.encode(&[], None);
        for line in [
            "foldback_worker_load{worker=\"0\"} 0.8999999761581421",
            "foldback_shedding_level{worker=\"0\"} 1",
            "foldback_joins_refused_total 3",
        ] {
            assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
        }

        tell(Shedding::NONE);
        conference
            .join(&Admitted::of("lobby", "Bob"), Way::Door, None)
            .expect("there is room again");
        conference
            .join(&Admitted::of("another", "Cleo"), Way::Door, None)
            .expect("there is room again");
    }
}
