//! The keys of tiers tasks: of those of processes all of slide's and where cool pages go, of the machine's when pages go to disk.

use crate::node_pairs::{self, NodePair, node_pairs};
use crate::slide;
use etmem_config::error::{ConfigError, Order, Rule};
use etmem_config::key::Row;
use etmem_config::values::{Percent, count_and_unit, rate, within, yes_or_no};
use etmem_config::{Reader, keys};
use etmem_core::throttle::Rate;
use std::time::Duration;

keys! { pub(super) NODES;
    NODE_PAIR: Vec<NodePair> = optional(node_pairs::NAME, node_pairs).ours("0.2.0").unit("nodes")
        .help("Pairs of NUMA nodes between which pages move: cool ones to the slow node of a pair, before they leave memory, others to the \
               fast one. Which is the slow one the hardware says, as for engine cslide. Absent: pages stay on their nodes.").example("0,1");
    T_COOL: Option<u16> = optional("T_cool", |text| within(text, 0, 360).map(Some)).ours("0.2.0").unit("counts")
        .help("With `node_pair`: a page that counts less than this in a cycle is cool. From `T` to 3 times `loop`.").example("6");
}

/// The keys of tasks of processes.
pub(super) const TASK: &[&dyn Row] = {
    const COUNT: usize = slide::keys::TASK.len() + NODES.len();
    const ROWS: [&dyn Row; COUNT] = {
        let mut rows: [&dyn Row; COUNT] = [NODES[0]; COUNT];
        let mut place = 0;
        while place < COUNT {
            let of_slide = slide::keys::TASK.len();
            rows[place] = if place < of_slide { slide::keys::TASK[place] } else { NODES[place - of_slide] };
            place += 1;
        }
        rows
    };
    &ROWS
};

/// Nodes to move pages between are of no use without the count from which on a page is not cool, and the other way round.
pub(super) fn nodes_and_threshold(reader: &Reader<'_>) -> Result<(), ConfigError> {
    let has_pairs = !reader.get(&NODE_PAIR)?.is_empty();
    let (missing, other) = match (has_pairs, reader.get(&T_COOL)?.is_some()) {
        (true, false) => (T_COOL.name(), NODE_PAIR.name()),
        (false, true) => (NODE_PAIR.name(), T_COOL.name()),
        _ => return Ok(()),
    };
    Err(reader.missing_for(missing, format!("{other} of engine tiers")))
}

keys! { pub(super) MACHINE;
    SINK_AFTER: Option<Duration> = or("sink_after", "30m", after).ours("0.2.0").unit("time")
        .help("Pages that have been in zram for so long without being touched are written to the disk behind it. `none`: not because of \
               their age.").example("2h");
    SINK_HIGH: Percent = or("sink_high", "80", |text| Percent::read(text, 1)).ours("0.2.0").unit("%")
        .help("From this share on a zram device is too full, and its longest untouched pages are written to the disk behind it, whatever \
               their age: of its slots, those whose page is in memory, or of its `mem_limit` what it takes, whichever is more.")
        .example("90");
    SINK_LOW: Percent = or("sink_low", "70", |text| Percent::read(text, 0)).ours("0.2.0").unit("%")
        .help("Until it is down to this share. Below `sink_high`.").example("60");
    SINK_RATE: Rate = or("sink_rate", "auto", rate).ours("0.2.0").unit("bytes a second")
        .help("How fast pages may be written. `auto` is a quarter of what the disk can do.").example("20m");
    SINK_PER_DAY: Option<u64> = or("sink_per_day", "20g", amount).ours("0.2.0").unit("bytes in 24 hours")
        .help("Most that may be written in any 24 hours, for the endurance of the disk. While pages are written, the kernel is \
               given their number as the device's `writeback_limit`, which is put back afterwards. `none`: no bound.").example("100g");
    DRY_RUN: bool = or("dry_run", "no", yes_or_no).ours("0.2.0")
        .help("Look and choose, but write nothing. `etmem task show` reports what would be written.").example("yes");
}

/// The marks of a file are in order.
pub(super) fn marks_in_order(reader: &Reader<'_>) -> Result<(), ConfigError> {
    reader.check_order(&SINK_LOW, Order::Below, &SINK_HIGH)
}

/// The longest time that can be asked for, in seconds.
const LONGEST: u64 = 7 * 24 * 3600;

/// `none`, or a whole number and then `s`, `m` or `h`, of 1 s to a week.
fn after(text: &str) -> Result<Option<Duration>, Rule> {
    const FORM: Rule = Rule::Form("none, or a whole number and then s, m or h, of 1s to 168h");
    if text == "none" {
        return Ok(None);
    }
    let (count, unit) = count_and_unit(text).ok_or(FORM)?;
    let seconds = match unit {
        's' => count,
        'm' => count.saturating_mul(60),
        'h' => count.saturating_mul(3600),
        _ => return Err(FORM),
    };
    Some(seconds)
        .filter(|seconds| (1..=LONGEST).contains(seconds))
        .map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or(FORM)
}

/// `none`, or digits and then `m` or `g` for MiB or GiB, at least 1.
fn amount(text: &str) -> Result<Option<u64>, Rule> {
    const FORM: Rule = Rule::Form(
        "none, or digits (at least 1) and then m or g, at most 10 characters, for example 20g for 20 GiB",
    );
    if text == "none" {
        return Ok(None);
    }
    let (count, unit) = count_and_unit(text).filter(|_| text.len() <= 10).ok_or(FORM)?;
    let shift = match unit {
        'm' | 'M' => 20,
        'g' | 'G' => 30,
        _ => return Err(FORM),
    };
    Some(count << shift).filter(|_| count > 0).map(Some).ok_or(FORM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Target;

    #[test]
    fn times_and_amounts_within_their_bounds() {
        let seconds = |count| Ok(Some(Duration::from_secs(count)));
        for (text, want) in
            [("1s", seconds(1)), ("30m", seconds(1800)), ("168h", seconds(LONGEST)), ("none", Ok(None))]
        {
            assert_eq!(after(text), want, "{text}");
        }
        for text in ["0s", "169h", "30", "m", "", "-1s", "1d", "99999999999999999999h", "1.5h", "+1s"] {
            assert!(after(text).is_err(), "{text}");
        }
        for (text, want) in [
            ("1m", Ok(Some(1 << 20))),
            ("20g", Ok(Some(20 << 30))),
            ("999999999G", Ok(Some(999_999_999 << 30))),
            ("none", Ok(None)),
        ] {
            assert_eq!(amount(text), want, "{text}");
        }
        for text in ["0g", "1k", "20", "g", "", "-1g", "9999999999g", "auto"] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    fn parse(lines: &str) -> Result<Target, String> {
        let text = format!("[task]\nproject=a\nengine=tiers\nname=t\n{lines}\n");
        let file =
            etmem_config::parse("f".as_ref(), &text, &crate::keys()).map_err(|error| error.to_string())?;
        Ok(file.tasks[0].target.clone())
    }

    #[test]
    fn a_task_is_of_the_machine_and_its_marks_are_in_order() {
        assert_eq!(parse("type=machine"), Ok(Target::Machine));
        assert_eq!(parse("type=machine\nsink_high=50\nsink_low=49"), Ok(Target::Machine));
        let of_processes = |lines: &str| parse(&format!("type=name\nvalue=db\nT=1\n{lines}"));
        assert_eq!(of_processes(""), Ok(Target::Comm("db".into())));
        assert_eq!(of_processes("T_cool=3\nnode_pair=0,1\nmax_rate=50m"), Ok(Target::Comm("db".into())));
        for (lines, said) in [("T_cool=3", "node_pair is missing"), ("node_pair=0,1", "T_cool is missing")] {
            let error = of_processes(lines).unwrap_err();
            assert!(error.contains(said) && error.contains("engine tiers"), "{lines}: {error}");
        }
        for (lines, said) in [
            ("type=pid\nvalue=1", "T is missing"),
            ("type=machine\nsink_high=70", "sink_high=70"),
            ("type=machine\nsink_low=80", "sink_low=80"),
            ("type=machine\nsink_high=101", "sink_high=101"),
            ("type=machine\nsink_after=0s", "sink_after=0s"),
            ("type=machine\nsink_per_day=0g", "sink_per_day=0g"),
            ("", "type"),
        ] {
            let error = parse(lines).unwrap_err();
            assert!(error.contains(said) && error.contains('f'), "{lines}: {error}");
        }
        let text = "[task]\nproject=a\nengine=slide\nname=t\ntype=machine\nT=1\n";
        let error = etmem_config::parse("f".as_ref(), text, &crate::keys()).unwrap_err().to_string();
        assert!(error.contains("type=machine is for tasks of engine tiers"), "{error}");
    }
}
