//! `trigger=`: what begins the next cycle early.
//!
//! ```text
//! triggers: trigger ("," trigger)*
//! trigger:  "pressure" ("some" | "full") STALL "/" WINDOW [GROUP]     150ms/2s
//!           "usage" GROUP SIZE                                         512M
//!           "high" GROUP
//!           "free" PERCENT "%"
//! ```

use crate::rule::Rule;
use etmem_core::kernel::trigger::{GroupPath, Stalled, Trigger};
use std::time::Duration;

const FORM: Rule = Rule::Form(
    "one of these or several separated by commas: pressure some|full STALL/WINDOW [GROUP], usage GROUP SIZE, high GROUP, \
     free PERCENT%; for example pressure some 150ms/2s",
);
const PRESSURE: Rule =
    Rule::Form("pressure some|full STALL/WINDOW [GROUP], for example pressure some 150ms/2s db.slice");
const WINDOW: Rule = Rule::Form(
    "pressure with a window of 2s, 4s, 6s, 8s or 10s (for others the kernel asks for CAP_SYS_RESOURCE) and a stall of 1ms up \
     to the window, for example pressure some 150ms/2s",
);
const USAGE: Rule =
    Rule::Form("usage GROUP SIZE, SIZE in K, M or G and at least 1, for example usage db.slice 512M");
const HIGH: Rule = Rule::Form("high GROUP, for example high db.slice");
const FREE: Rule = Rule::Form("free PERCENT%, 1% to 99%, for example free 10%");
const GROUP: Rule = Rule::Form(
    "with a path of a control group below its mount, without .., for example db.slice/mysql.service",
);
const MANY: Rule = Rule::Form("at most 16 triggers");

/// Most triggers of a project: each task holds a few open files for each.
const MOST: usize = 16;

/// Longest window of PSI (`WINDOW_MAX_US` of kernel/sched/psi.c).
const WINDOW_LONGEST: Duration = Duration::from_secs(10);

/// Reads triggers separated by commas, at least one.
pub fn triggers(text: &str) -> Result<Vec<Trigger>, Rule> {
    let triggers: Vec<Trigger> = text.split(',').map(trigger).collect::<Result<_, _>>()?;
    if triggers.len() > MOST { Err(MANY) } else { Ok(triggers) }
}

fn trigger(text: &str) -> Result<Trigger, Rule> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words[..] {
        ["pressure", ref rest @ ..] => pressure(rest),
        ["usage", ref rest @ ..] => match *rest {
            [group, bytes] => {
                Ok(Trigger::Usage { bytes: size(bytes).ok_or(USAGE)?, group: self::group(group)? })
            }
            _ => Err(USAGE),
        },
        ["high", ref rest @ ..] => match *rest {
            [group] => Ok(Trigger::High { group: self::group(group)? }),
            _ => Err(HIGH),
        },
        ["free", ref rest @ ..] => match *rest {
            [percent] => {
                percent_below(percent).map(|below_percent| Trigger::Free { below_percent }).ok_or(FREE)
            }
            _ => Err(FREE),
        },
        _ => Err(FORM),
    }
}

fn pressure(words: &[&str]) -> Result<Trigger, Rule> {
    let (stalled, times, group) = match *words {
        [stalled, times] => (stalled, times, None),
        [stalled, times, group] => (stalled, times, Some(group)),
        _ => return Err(PRESSURE),
    };
    let stalled = match stalled {
        "some" => Stalled::Some,
        "full" => Stalled::Full,
        _ => return Err(PRESSURE),
    };
    let (stall, window) = times.split_once('/').ok_or(PRESSURE)?;
    let (stall, window) = (time(stall).ok_or(PRESSURE)?, time(window).ok_or(PRESSURE)?);
    let whole = window.subsec_millis() == 0 && window.as_secs().is_multiple_of(2);
    if window.is_zero() || !whole || window > WINDOW_LONGEST || stall.is_zero() || stall > window {
        return Err(WINDOW);
    }
    Ok(Trigger::Pressure { stalled, stall, window, group: group.map(self::group).transpose()? })
}

fn group(text: &str) -> Result<GroupPath, Rule> {
    GroupPath::new(text).ok_or(GROUP)
}

/// Digits and nothing else, at most nine: a sign is none.
fn number(digits: &str) -> Option<u64> {
    let digits =
        Some(digits).filter(|digits| digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits?.parse().ok()
}

/// `150ms` or `2s`.
fn time(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(digits) => number(digits).map(Duration::from_millis),
        None => number(text.strip_suffix('s')?).map(Duration::from_secs),
    }
}

/// `512M` in bytes.
fn size(text: &str) -> Option<u64> {
    let units = [(['k', 'K'], 10), (['m', 'M'], 20), (['g', 'G'], 30)];
    let (digits, shift) =
        units.into_iter().find_map(|(words, shift)| Some((text.strip_suffix(words)?, shift)))?;
    number(digits).filter(|count| *count > 0).map(|count| count << shift)
}

fn percent_below(text: &str) -> Option<u8> {
    let percent = number(text.strip_suffix('%')?)?;
    u8::try_from(percent).ok().filter(|percent| (1..=99).contains(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_and_written_alike() {
        for text in [
            "pressure some 150ms/2s",
            "pressure full 1ms/10s db.slice/mysql.service",
            "pressure some 10s/10s /",
            "usage db.slice 512M",
            "usage / 1K",
            "high db.slice",
            "free 1%",
            "free 99%",
        ] {
            let read = triggers(text).unwrap();
            assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
        }
        let several = triggers("  free  10% ,usage /db.slice 2048k,high a").unwrap();
        let written: Vec<String> = several.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["free 10%", "usage db.slice 2M", "high a"]);
        assert_eq!(triggers(&["free 1%"; 16].join(",")).unwrap().len(), 16);
    }

    #[test]
    fn one_step_beyond_each_bound_is_refused() {
        for (text, want) in [
            ("", FORM),
            ("pressures some 150ms/2s", FORM),
            ("free 10%,", FORM),
            ("pressure 150ms/2s", PRESSURE),
            ("pressure none 150ms/2s", PRESSURE),
            ("pressure some 150/2s", PRESSURE),
            ("pressure some 150ms/2", PRESSURE),
            ("pressure some 150ms", PRESSURE),
            ("pressure some -1ms/2s", PRESSURE),
            ("pressure some +1ms/2s", PRESSURE),
            ("pressure some 150ms/2s a b", PRESSURE),
            ("pressure some 0ms/2s", WINDOW),
            ("pressure some 2001ms/2s", WINDOW),
            ("pressure some 150ms/0s", WINDOW),
            ("pressure some 150ms/1s", WINDOW),
            ("pressure some 150ms/3s", WINDOW),
            ("pressure some 150ms/12s", WINDOW),
            ("pressure some 150ms/2500ms", WINDOW),
            ("pressure some 150ms/2s ../a", GROUP),
            ("usage db.slice", USAGE),
            ("usage 512M db.slice", USAGE),
            ("usage db.slice 512", USAGE),
            ("usage db.slice 0M", USAGE),
            ("usage db.slice 1000000000G", USAGE),
            ("usage db.slice 1T", USAGE),
            ("usage ../db 1G", GROUP),
            ("high", HIGH),
            ("high a b", HIGH),
            ("high a/../b", GROUP),
            ("free", FREE),
            ("free 10", FREE),
            ("free 0%", FREE),
            ("free 100%", FREE),
            ("free 256%", FREE),
        ] {
            assert_eq!(triggers(text), Err(want), "{text:?}");
        }
        assert_eq!(triggers(&["free 1%"; 17].join(",")), Err(MANY));
    }
}
