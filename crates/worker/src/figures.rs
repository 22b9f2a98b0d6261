//! What the control side is told of the rooms: levels, figures, what stages read, what is over.

use std::time::Duration;

use foldback_metrics::Gauges;
use foldback_room::{ChainReadings, Level, ParticipantId};

use crate::control::{Event, Figures, Load, ParticipantStats, Readings, Ticks};
use crate::media::Worker;
use crate::recycle::Recycler;
use crate::stage_times::Took;

/// Reports kept for use again: a room has a handful of them under way, if the control side is slow.
const KEPT: usize = 1024;

/// Memory of reports, which comes back from the control side.
pub(crate) struct Reports {
    levels: Recycler<Vec<Level>>,
    figures: Recycler<Figures>,
}

impl Default for Reports {
    fn default() -> Self {
        Self { levels: Recycler::new(KEPT), figures: Recycler::new(KEPT) }
    }
}

impl Worker {
    /// Sends away what running chains have no more use for.
    pub(crate) fn send_stages_out(&mut self) {
        for open in self.rooms.values_mut() {
            while let Some(change) = open.room.take_over() {
                self.unsent.push_back(Event::StagesOut(change));
            }
        }
        self.send_unsent();
    }

    /// Tells of those who are not silent: everybody is told of them, and to tell of all would cost
    /// the square of those who listen.
    pub(crate) fn tell_levels(&mut self) {
        for (key, open) in &mut self.rooms {
            let levels = self.reports.levels.fill(|levels| {
                levels.clear();
                levels.extend(open.room.levels().filter(|level| !level.is_silent()));
            });
            let silence = levels.is_empty();
            if silence && open.silence_told {
                continue;
            }
            // Levels are only of use while they are new: a full queue drops them.
            let told = self.events.try_send(Event::Levels(*key, levels)).is_ok();
            open.silence_told = silence && told;
        }
    }

    /// Takes note of how long the worker was busy since the last tick, and sheds what that takes.
    pub(crate) fn follow_load(&mut self, busy: Duration) {
        if let Some(level) = self.load.tick(busy) {
            self.rooms.values_mut().for_each(|open| open.room.shed(level));
            let load = self.load();
            self.tell_surely(Event::Load(load));
        }
    }

    fn load(&mut self) -> Load {
        let (mean_lateness, max_lateness) = self.lateness.take();
        let divided = self.rooms.values().filter(|open| open.division.is_needed()).count();
        let ticks = Ticks { mean_lateness, max_lateness, skipped: self.skipped, divided };
        Load { worker: self.index, busy: self.load.load(), shedding: self.load.level(), ticks }
    }

    pub(crate) fn tell_stats(&mut self) {
        let server_latency = self.metrics.recent_latency();
        let mut now = Gauges {
            rooms: i64::try_from(self.rooms.len()).unwrap_or(i64::MAX),
            ..Gauges::default()
        };
        for (key, open) in &mut self.rooms {
            let figures = self.reports.figures.fill(|figures| {
                let (members, output) = (&self.members, &open.output);
                let took = |side: Option<ParticipantId>| match side {
                    Some(id) => members.get(&id).map_or(&[][..], |member| member.input.took()),
                    None => output.took(),
                };
                figures.read(open.room.readings(), took);
                open.output.begin();
                figures.participants.clear();
                for (id, receiver) in open.room.receivers() {
                    let Some(member) = self.members.get_mut(&id) else { continue };
                    member.input.begin();
                    let stats = receiver.stats();
                    member.count(stats, &mut self.metrics);
                    let jitter_buffer_ms = receiver.jitter_buffer_ms();
                    if stats.packets_received > 0 {
                        let delay = Duration::from_secs_f32(jitter_buffer_ms.max(0.0) / 1e3);
                        self.metrics.jitter_buffer_delay(delay);
                    }
                    figures.participants.push(ParticipantStats {
                        id,
                        received: stats,
                        jitter_buffer_ms,
                        clock_drift_ppm: receiver.drift_ppm(),
                        round_trip: member.report.round_trip,
                        fraction_lost: member.report.loss,
                    });
                }
            });
            for stats in &figures.participants {
                let member = self.members.get_mut(&stats.id);
                if let Some(loss) = member.and_then(|member| member.loss_news.take()) {
                    open.room.report(stats.id, loss);
                }
            }
            open.tell_faults(*key, &mut self.metrics, &self.events);
            now.participants += i64::try_from(open.people()).unwrap_or(0);
            now.encoders += i64::try_from(open.room.encoders_at_work()).unwrap_or(0);
            now.divided += i64::from(open.division.is_needed());
            let event = Event::Stats { room: *key, server_latency, figures };
            let _ = self.events.try_send(event);
        }
        let load = self.load();
        let _ = self.events.try_send(Event::Load(load));
        self.metrics.flush(now);
    }

    pub(crate) fn tell_surely(&mut self, event: Event) {
        self.unsent.push_back(event);
        self.send_unsent();
    }

    pub(crate) fn send_unsent(&mut self) {
        while let Some(event) = self.unsent.pop_front() {
            if let Err(tokio::sync::mpsc::error::TrySendError::Full(event)) =
                self.events.try_send(event)
            {
                self.unsent.push_front(event);
                return;
            }
        }
    }
}

impl Figures {
    /// Takes down what the stages read and `took`, in the memory of what they did before.
    fn read<'a, 't>(
        &mut self,
        sides: impl Iterator<Item = ChainReadings<'a>>,
        took: impl Fn(Option<ParticipantId>) -> &'t [Took],
    ) {
        self.sides = 0;
        for side in sides {
            if self.readings.len() == self.sides {
                self.readings.push(Readings::of(&side, took(side.id)));
            } else {
                self.readings[self.sides].set(&side, took(side.id));
            }
            self.sides += 1;
        }
    }
}
