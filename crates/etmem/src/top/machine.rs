//! What `metrics` says besides the figures of tasks: which projects there are, how full each level is, and what the daemon takes.

use std::collections::{BTreeMap, BTreeSet};

/// What there is beside tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Machine {
    /// The projects that have tasks, by name.
    pub(super) projects: BTreeSet<String>,
    /// Devices and files for swap, by name.
    pub(super) levels: BTreeMap<String, Level>,
    /// What zswap holds and takes, in bytes, if it holds anything.
    pub(super) zswap: Option<(u64, u64)>,
    /// Processor time of the daemon so far, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Memory of the daemon, in bytes.
    pub(super) resident: Option<u64>,
}

/// A device or file for swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) size: u64,
    pub(super) used: u64,
    /// Memory that it takes itself, as zram does.
    pub(super) takes: Option<u64>,
}

/// Reads an answer in the OpenMetrics format. A line of another form is left out.
pub(super) fn machine(text: &str) -> Machine {
    let mut machine = Machine::default();
    let mut takes = BTreeMap::new();
    let (mut holds, mut pool) = (0, 0);
    for (name, labels, value) in text.lines().filter_map(sample) {
        let level = || labels.get("level").cloned();
        match name {
            "etmem_task_up" => machine.projects.extend(labels.get("project").cloned()),
            "etmem_level_size_bytes" => {
                machine.levels.entry(level().unwrap_or_default()).or_default().size = whole(value);
            }
            "etmem_level_used_bytes" => {
                machine.levels.entry(level().unwrap_or_default()).or_default().used = whole(value);
            }
            "etmem_zram_memory_bytes" => {
                takes.insert(level().unwrap_or_default(), whole(value));
            }
            "etmem_zswap_stored_bytes" => holds = whole(value),
            "etmem_zswap_pool_bytes" => pool = whole(value),
            "etmem_daemon_cpu_seconds_total" => machine.cpu_seconds = value.parse().ok(),
            "etmem_daemon_resident_bytes" => machine.resident = Some(whole(value)),
            _ => {}
        }
    }
    for (name, level) in &mut machine.levels {
        level.takes = takes.get(name).copied();
    }
    machine.zswap = (holds > 0).then_some((holds, pool));
    machine
}

fn whole(value: &str) -> u64 {
    value.parse().unwrap_or(0)
}

/// The name, the labels and the value of a sample.
fn sample(line: &str) -> Option<(&str, BTreeMap<&str, String>, &str)> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    if name.starts_with('#') {
        return None;
    }
    if let Some(value) = rest.strip_prefix(' ') {
        return Some((name, BTreeMap::new(), value));
    }
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_prefix('{')?;
    loop {
        let (label, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.insert(label, value);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Some((name, labels, after.strip_prefix("} ")?)),
        }
    }
}

/// The text up to the next quote, and what comes after that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples() {
        let text = "# TYPE etmem_task_up gauge\n\
            etmem_task_up{project=\"a\\\"b,}\",engine=\"slide\",task=\"t\"} 1\n\
            etmem_task_up{project=\"q\",engine=\"slide\",task=\"t\"} 0\n\
            etmem_level_size_bytes{level=\"zram0\"} 100\n\
            etmem_level_used_bytes{level=\"zram0\"} 60\n\
            etmem_zram_memory_bytes{level=\"zram0\"} 20\n\
            etmem_zram_memory_bytes{level=\"zram7\"} 20\n\
            etmem_zswap_stored_bytes 9\netmem_zswap_pool_bytes 3\n\
            etmem_daemon_cpu_seconds_total 1.5\netmem_daemon_resident_bytes 4096\n# EOF\n";
        let machine = machine(text);
        assert_eq!(machine.projects, BTreeSet::from(["a\"b,}".to_owned(), "q".to_owned()]));
        assert_eq!(
            machine.levels,
            BTreeMap::from([("zram0".to_owned(), Level { size: 100, used: 60, takes: Some(20) })])
        );
        assert_eq!(
            (machine.zswap, machine.cpu_seconds, machine.resident),
            (Some((9, 3)), Some(1.5), Some(4096))
        );
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        for line in [
            "",
            "{",
            "a",
            "a{",
            "a{b",
            "a{b=\"c",
            "a{b=\"c\"",
            "a{b=\"c\\",
            "a{b=\"c\"}",
            "# HELP a b",
            "é{\"} ",
        ] {
            assert_eq!(machine(line), Machine::default(), "{line}");
        }
    }
}
