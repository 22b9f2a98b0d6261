//! What processes and sockets use up, as Linux tells it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Of the times in `/proc`: the same for all that Linux tells programs on the processors of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Allows as many open files as may be allowed: each client is a socket or two.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the clients that find no socket say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// CPU time of all threads of a process, dead ones too.
///
/// # Errors
/// A sentence: there is no such process.
pub(crate) fn process_cpu_time(pid: u32) -> Result<Duration, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).map_err(|error| {
        format!("--server-pid {pid} is no process of this machine: {path}: {error}")
    })?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| format!("{path} is not as proc(5) has it"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

/// User and system time, the 14th and 15th field. The second, the name, may hold blanks.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of a process in bytes, if there is one.
pub(crate) fn process_memory_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Time of all cores together since the start of the machine: busy and all, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineTime {
    busy: u64,
    total: u64,
}

impl MachineTime {
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user, nice, system, idle, iowait, irq, softirq, steal: guests are in user already.
        let fields: Vec<u64> =
            line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
        let idle: u64 = fields.get(3..5)?.iter().sum();
        let total = fields.iter().sum();
        Some(Self { busy: total - idle, total })
    }

    /// The busy share of the time since, 0 to 1.
    pub(crate) fn busy_since(&self, before: &Self) -> f64 {
        let total = self.total.saturating_sub(before.total).max(1);
        self.busy.saturating_sub(before.busy) as f64 / total as f64
    }
}

/// Datagrams that the kernel dropped, since their sockets were full, of sockets with these ports.
pub(crate) fn dropped_datagrams(ports: &BTreeSet<u16>) -> u64 {
    let tables = ["/proc/net/udp", "/proc/net/udp6"];
    let tables = tables.iter().filter_map(|path| fs::read_to_string(path).ok());
    tables.map(|table| dropped_in(&table, ports)).sum()
}

fn dropped_in(table: &str, ports: &BTreeSet<u16>) -> u64 {
    let dropped = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        ports.contains(&port).then(|| fields.last()?.parse::<u64>().ok()).flatten()
    };
    table.lines().skip(1).filter_map(dropped).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_process_is_read_past_a_name_with_blanks() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert!(process_cpu_time(std::process::id()).is_ok());
        let error = process_cpu_time(u32::MAX).expect_err("no such process");
        assert!(error.contains("--server-pid 4294967295"), "{error}");
    }

    #[test]
    fn memory_is_in_bytes() {
        let memory = process_memory_bytes(std::process::id()).expect("this process");
        assert!((1 << 20..1 << 36).contains(&memory), "{memory}");
    }

    #[test]
    fn a_machine_is_as_busy_as_its_cores_were_not_idle() {
        let parse = |line| MachineTime::parse(line).expect("as proc(5) has it");
        let before = parse("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\n");
        let after = parse("cpu  150 0 120 820 10 0 0 0 40 0\n");
        assert!((after.busy_since(&before) - 0.7).abs() < 1e-9);
    }

    #[test]
    fn drops_are_those_of_our_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt \
                     uid  timeout inode ref pointer drops\n\
                     1: 0100007F:1F40 00000000:0000 07 0:0 00:0 0 0 0 1 2 0 5\n\
                     2: 0100007F:1F41 00000000:0000 07 0:0 00:0 0 0 0 1 2 0 7\n";
        assert_eq!(dropped_in(table, &BTreeSet::from([0x1f41])), 7);
    }
}
