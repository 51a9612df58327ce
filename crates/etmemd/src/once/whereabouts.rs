//! `etmemd --where`: the levels of the machine, and on which of them the pages of programs are; the command line's `etmem where`
//! becomes this.

use super::options::{refuse, roots, roots_of, targets};
use super::stage::{find, print, refused};
use crate::task_show::text::size;
use clap::{Arg, ArgAction, ArgMatches, Command};
use etmem_core::kernel::levels::{Level, Levels, Whereabouts};
use etmem_core::kernel::process::{ExePattern, ProcessId, ProcessTable, Target};
use etmem_engine::Reason;
use etmem_linux::levels::machine::MachineLevels;
use etmem_linux::process::table::Processes;
use etmem_linux::root::Roots;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

fn command() -> Command {
    let targets = targets().map(|target| match target.get_id().as_str() {
        // Those of a project are many.
        "pid" => target.action(ArgAction::Append),
        _ => target,
    });
    Command::new("etmemd")
        .arg(Arg::new("where").long("where").action(ArgAction::SetTrue))
        .args(targets)
        .arg(Arg::new("all").long("all").action(ArgAction::SetTrue))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue))
        .args(roots())
        .disable_help_flag(true)
}

/// The targets that are named; none: the levels alone.
fn targets_of(matches: &mut ArgMatches) -> Vec<Target> {
    let all = matches.get_flag("all").then(|| ExePattern::new("/**").map(Target::Exe)).flatten();
    let named = ["pid", "name", "cgroup"]
        .iter()
        .filter_map(|name| matches.remove_many::<Target>(name))
        .flatten()
        .collect::<Vec<_>>();
    named.into_iter().chain(all).collect()
}

/// Says where memory is; the status to exit with.
pub(super) fn run(arguments: &[OsString]) -> ExitCode {
    let mut matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    let json = matches.get_flag("json");
    let roots = roots_of(&mut matches);
    let report = Report::new(&roots, &targets_of(&mut matches));
    let text = if json {
        format!("{:#}\n", serde_json::to_value(&report).unwrap_or_default())
    } else {
        report.to_string()
    };
    print(&text, report.status())
}

/// Where memory is.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    command: &'static str,
    levels: Vec<ShownLevel>,
    processes: Vec<ShownProcess>,
    /// Why nothing is known of any process.
    reason: Option<Reason>,
}

#[derive(Debug, Serialize)]
struct ShownLevel {
    kind: &'static str,
    name: String,
    size_bytes: Option<u64>,
    used_bytes: u64,
    takes_bytes: Option<u64>,
    may_take_bytes: Option<u64>,
    written_bytes: Option<u64>,
    read_back_bytes: Option<u64>,
    missing: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownProcess {
    pid: u32,
    name: String,
    memory_bytes: u64,
    /// Of these, by node, if there are several.
    node_bytes: BTreeMap<String, u64>,
    /// By level, those that are not in memory.
    level_bytes: BTreeMap<String, u64>,
    shared_swap_bytes: u64,
    unknown_swap_bytes: u64,
    reason: Option<Reason>,
}

impl From<&Level> for ShownLevel {
    fn from(level: &Level) -> Self {
        let Level { kind, name, size, used, takes, may_take, written, read, missing } = level;
        Self {
            kind: kind.word(),
            name: name.to_string(),
            size_bytes: *size,
            used_bytes: *used,
            takes_bytes: *takes,
            may_take_bytes: *may_take,
            written_bytes: *written,
            read_back_bytes: *read,
            missing: missing.clone(),
        }
    }
}

impl Report {
    fn new(roots: &Roots, targets: &[Target]) -> Self {
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            command: "where",
            levels: Vec::new(),
            processes: Vec::new(),
            reason: None,
        };
        if targets.is_empty() {
            report.levels = MachineLevels::listed(roots).iter().map(ShownLevel::from).collect();
            return report;
        }
        if !nix::unistd::geteuid().is_root() {
            let text = "the kernel shows only root where the pages of programs are: run it as root";
            report.reason = Some(refused(text));
            return report;
        }
        let table = Processes::new(roots.proc.clone());
        let mut found: Vec<ProcessId> = Vec::new();
        for target in targets {
            match find(&table, target) {
                Ok(processes) => found.extend(processes),
                Err(reason) => report.reason = Some(reason),
            }
        }
        found.sort_unstable();
        found.dedup();
        let levels = MachineLevels::new(roots);
        for process in found {
            let name = table.name(process).unwrap_or_default();
            let shown = ShownProcess::new(
                process,
                name,
                levels.levels(),
                levels.of(process).map_err(|error| Reason::from(&error)),
            );
            report.processes.push(shown);
        }
        report.levels = levels.levels().iter().map(ShownLevel::from).collect();
        if !report.processes.is_empty() {
            // Others have ended meanwhile.
            report.reason = None;
        }
        report
    }

    /// 2 if nothing is known, 1 if not all.
    fn status(&self) -> u8 {
        match (&self.reason, self.processes.iter().any(|process| process.reason.is_some())) {
            (Some(_), _) => 2,
            (None, true) => 1,
            (None, false) => 0,
        }
    }
}

impl ShownProcess {
    fn new(process: ProcessId, name: String, levels: &[Level], found: Result<Whereabouts, Reason>) -> Self {
        let (found, reason) = match found {
            Ok(found) => (found, None),
            Err(reason) => (Whereabouts::default(), Some(reason)),
        };
        let named = |(level, bytes): &(usize, u64)| Some((levels.get(*level)?.name.to_string(), *bytes));
        Self {
            pid: process.pid.get(),
            name,
            memory_bytes: found.memory,
            node_bytes: found.nodes.iter().map(|(node, bytes)| (node.to_string(), *bytes)).collect(),
            level_bytes: found.levels.iter().filter_map(named).collect(),
            shared_swap_bytes: found.shared,
            unknown_swap_bytes: found.elsewhere,
            reason,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.reason {
            writeln!(f, "nothing is known: {}", reason.text)?;
        }
        if !self.levels.is_empty() {
            writeln!(
                f,
                "{:<16} {:<10} {:>10} {:>10} {:>12} {:>10} {:>10}",
                "level", "kind", "size", "used", "takes memory", "written", "read back"
            )?;
        }
        for level in &self.levels {
            let bytes = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
            let line = format!(
                "{:<16} {:<10} {:>10} {:>10} {:>12} {:>10} {:>10}",
                level.name,
                level.kind,
                bytes(level.size_bytes),
                size(level.used_bytes),
                bytes(level.takes_bytes),
                bytes(level.written_bytes),
                bytes(level.read_back_bytes)
            );
            writeln!(f, "{}", line.trim_end())?;
            for missing in &level.missing {
                writeln!(f, "{:<16} nothing goes on from here: {missing}", "")?;
            }
        }
        for process in &self.processes {
            writeln!(f, "\nprocess {} ({})", process.pid, process.name)?;
            if let Some(reason) = &process.reason {
                writeln!(f, "  {}", reason.text)?;
                continue;
            }
            let mut line = |name: &str, bytes: u64| writeln!(f, "  {name:<30} {:>10}", size(bytes));
            line("in memory", process.memory_bytes)?;
            for (node, bytes) in &process.node_bytes {
                line(&format!("  {node}"), *bytes)?;
            }
            for (level, bytes) in &process.level_bytes {
                line(level, *bytes)?;
            }
            if process.shared_swap_bytes > 0 {
                line("shared memory in swap", process.shared_swap_bytes)?;
            }
            if process.unknown_swap_bytes > 0 {
                line("in swap, device not known", process.unknown_swap_bytes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::levels::LevelKind;
    use etmem_core::kernel::process::{Pid, ProcessError};

    fn levels() -> Vec<Level> {
        let level = |kind, name: &str| Level {
            kind,
            name: name.into(),
            size: Some(1 << 30),
            used: 3 << 20,
            takes: None,
            may_take: None,
            written: None,
            read: None,
            missing: Vec::new(),
        };
        let zram = Level {
            takes: Some(1 << 20),
            missing: vec!["no disk".into()],
            ..level(LevelKind::Zram, "zram0")
        };
        vec![level(LevelKind::Node, "memory"), zram]
    }

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid: Pid::new(pid).unwrap(), start_time: 1 }
    }

    #[test]
    fn levels_and_processes_as_text_and_json() {
        let levels = levels();
        let found = Whereabouts {
            memory: 5 << 20,
            levels: vec![(1, 2 << 20)],
            shared: 4096,
            ..Whereabouts::default()
        };
        let gone = Err(Reason::from(&ProcessError::Exited));
        let report = Report {
            version: "1",
            command: "where",
            levels: levels.iter().map(ShownLevel::from).collect(),
            processes: vec![
                ShownProcess::new(process(7), "db".into(), &levels, Ok(found)),
                ShownProcess::new(process(8), "x".into(), &levels, gone),
            ],
            reason: None,
        };
        let text = report.to_string();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["memory", "node", "1.00", "GiB", "3.0", "MiB"]);
        assert_eq!(lines[2], ["zram0", "zram", "1.00", "GiB", "3.0", "MiB", "1.0", "MiB"]);
        assert_eq!(lines[3].join(" "), "nothing goes on from here: no disk");
        assert_eq!(lines[5], ["process", "7", "(db)"]);
        assert_eq!(lines[6], ["in", "memory", "5.0", "MiB"]);
        assert_eq!(lines[7], ["zram0", "2.0", "MiB"]);
        assert_eq!(lines[8].join(" "), "shared memory in swap 4 KiB");
        assert_eq!(report.status(), 1, "one has ended");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["levels"][1]["missing"][0], "no disk");
        assert_eq!(json["processes"][0]["level_bytes"]["zram0"], 2 << 20);
        assert_eq!(json["processes"][1]["reason"]["name"], "exited");
    }

    #[test]
    fn what_is_asked_for() {
        let parse = |line: &str| {
            let mut matches =
                command().try_get_matches_from(line.split(' ')).map_err(|error| error.to_string())?;
            Ok::<_, String>(targets_of(&mut matches))
        };
        let pid = |pid| Target::Pid(Pid::new(pid).unwrap());
        assert_eq!(parse("etmemd --where").unwrap(), []);
        assert_eq!(parse("etmemd --where --pid=7 --pid=8").unwrap(), [pid(7), pid(8)]);
        assert_eq!(parse("etmemd --where --name=db").unwrap(), [Target::Comm("db".into())]);
        assert_eq!(parse("etmemd --where --all").unwrap().len(), 1);
        assert!(parse("etmemd --where --pid=0").is_err());
    }
}
