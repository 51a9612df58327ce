//! What must hold at the end of the demo, and whether it does.
//!
//! Only what can be measured on a machine that other programs use as well is part of it. The workload's rate is not.

use std::fmt;

use super::waiting::Shares;

/// Least share of the cold memory that must have left.
pub const COLD_OUT: f64 = 0.99;
/// Most of the hot pages that may have left, and most refaults, as a share of the hot pages.
pub const HOT_OUT: f64 = 0.001;
/// Most of its time that the workload may have stood waiting for memory. Interrupts that other programs cause count as
/// well, as the kernel adds them to the time of the program that they interrupt.
pub const WAITED: f64 = 0.05;
/// A workload that waits for a processor for more than this share of its time shows that other programs use them.
const BUSY: f64 = 0.2;

/// A statement with its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    what: &'static str,
    measured: String,
    bound: String,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Holds,
    Broken,
    /// It is no part of the verdict, and why.
    Open(&'static str),
}

impl From<bool> for State {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Broken }
    }
}

impl Claim {
    /// Share of cold pages that left memory.
    pub fn cold_out(share: f64) -> Self {
        let bound = format!("at least {}", percent(COLD_OUT));
        Self::new("cold memory that left", percent(share), bound, (share >= COLD_OUT).into())
    }

    /// Share of hot pages that left memory.
    pub fn hot_out(share: f64) -> Self {
        let bound = format!("at most {}", percent(HOT_OUT));
        Self::new("hot pages that left", percent(share), bound, (share <= HOT_OUT).into())
    }

    /// Pages that a fault had to fetch back, where `hot` pages are hot.
    pub fn refaults(pages: u64, hot: usize) -> Self {
        let most = (hot as f64 * HOT_OUT).floor();
        let state = (pages as f64 <= most).into();
        Self::new("pages fetched back by a fault", pages.to_string(), format!("at most {most}"), state)
    }

    /// Share of its time that the workload stood waiting for memory.
    pub fn waited(share: Option<f64>) -> Self {
        let measured = share.map_or_else(|| String::from("unknown"), percent);
        let unknown = State::Open("not measured: the kernel does not count it");
        let state = share.map_or(unknown, |share| (share <= WAITED).into());
        Self::new("time it stood waiting for memory", measured, format!("at most {}", percent(WAITED)), state)
    }

    /// Bytes found as they were written, of `bytes`; or why not.
    pub fn whole(verified: Result<usize, String>, bytes: usize) -> Self {
        let state = (verified.as_ref() == Ok(&bytes)).into();
        let measured = verified.map_or_else(|why| why, |found| format!("{} MiB", found >> 20));
        Self::new("content read back unharmed", measured, format!("all {} MiB", bytes >> 20), state)
    }

    const fn new(what: &'static str, measured: String, bound: String, state: State) -> Self {
        Self { what, measured, bound, state }
    }

    /// The same where `verdict` excuses that it does not hold yet.
    #[must_use]
    pub fn excused_by(self, verdict: &Verdict) -> Self {
        match (verdict, self.state) {
            (Verdict::Skipped(_), State::Broken) => Self { state: State::Open("not yet: see below"), ..self },
            _ => self,
        }
    }

    /// Whether it was measured and does not hold.
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.state {
            State::Holds => "holds",
            State::Broken => "does not hold",
            State::Open(why) => why,
        };
        write!(out, "  {:<32} {:>10}   {:<18} {verdict}", self.what, self.measured, self.bound)
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// How the demo ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All that was measured holds.
    Holds,
    /// Something does not.
    Broken,
    /// This machine could not show it now, and why.
    Skipped(String),
}

impl Verdict {
    /// From how much of the cold memory left, what else is claimed, and what the workload spent its time on.
    ///
    /// A daemon that gets no processor does not get all of the cold memory out in time. That excuses nothing else, and
    /// not a daemon that moved nothing.
    pub fn of(cold_out: f64, others: &[Claim], spent: Option<Shares>) -> Self {
        let busy = spent.filter(|spent| spent.processor > BUSY && cold_out > 0.0);
        match (others.iter().any(Claim::is_broken), Claim::cold_out(cold_out).is_broken(), busy) {
            (true, _, _) | (_, true, None) => Self::Broken,
            (false, false, _) => Self::Holds,
            (false, true, Some(spent)) => Self::Skipped(format!(
                "other programs used the processors: the workload waited for one {:.0} % of its time, and {} of \
                 the cold memory left so far. Nothing that was measured speaks against the daemon; run the demo \
                 again when the machine has less to do",
                spent.processor * 100.0,
                percent(cold_out)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(claim: &Claim) -> bool {
        claim.state == State::Holds
    }

    #[test]
    fn bounds_are_where_they_are_said_to_be() {
        assert!(holds(&Claim::cold_out(0.99)) && Claim::cold_out(0.9899).is_broken());
        assert!(holds(&Claim::hot_out(0.001)) && Claim::hot_out(0.0011).is_broken());
        assert!(holds(&Claim::refaults(32, 32_768)) && Claim::refaults(33, 32_768).is_broken());
        assert!(holds(&Claim::waited(Some(0.05))) && Claim::waited(Some(0.0501)).is_broken());
        assert!(holds(&Claim::whole(Ok(4096), 4096)) && Claim::whole(Ok(4095), 4096).is_broken());
        assert!(Claim::whole(Err(String::from("damaged 7f00")), 4096).is_broken());
        assert!(Claim::cold_out(f64::NAN).is_broken() && Claim::waited(Some(f64::NAN)).is_broken());
    }

    #[test]
    fn a_line_shows_value_bound_and_verdict() {
        let line = Claim::hot_out(0.5).to_string();
        for part in ["50.00 %", "at most 0.10 %", "does not hold"] {
            assert!(line.contains(part), "{line}");
        }
        let unknown = Claim::waited(None);
        assert!(!unknown.is_broken() && unknown.to_string().contains("not measured"), "{unknown}");
    }

    const IDLE: Option<Shares> = Some(Shares { processor: 0.01, memory: 0.0 });
    const BUSY: Option<Shares> = Some(Shares { processor: 0.6, memory: 0.0 });

    fn verdict(cold_out: f64, hot_out: f64, spent: Option<Shares>) -> Verdict {
        let others =
            [Claim::hot_out(hot_out), Claim::refaults(0, 1), Claim::waited(spent.map(|spent| spent.memory))];
        Verdict::of(cold_out, &others, spent)
    }

    #[test]
    fn hot_pages_out_break_it_on_any_machine() {
        for spent in [None, IDLE, BUSY] {
            assert_eq!(verdict(1.0, 0.0, spent), Verdict::Holds);
            assert_eq!(verdict(1.0, 0.01, spent), Verdict::Broken);
            assert_eq!(verdict(0.5, 0.01, spent), Verdict::Broken);
        }
    }

    #[test]
    fn a_busy_machine_excuses_a_slow_daemon_but_not_an_idle_one() {
        assert_eq!(verdict(0.5, 0.0, IDLE), Verdict::Broken);
        assert_eq!(verdict(0.5, 0.0, None), Verdict::Broken);
        assert_eq!(verdict(0.0, 0.0, BUSY), Verdict::Broken);
        let Verdict::Skipped(why) = verdict(0.5, 0.0, BUSY) else { panic!("a busy machine is an excuse") };
        assert!(why.contains("60 %") && why.contains("50.00 %"), "{why}");
        let line = Claim::cold_out(0.5).excused_by(&Verdict::Skipped(why)).to_string();
        assert!(line.ends_with("not yet: see below"), "{line}");
        assert!(Claim::cold_out(0.5).excused_by(&Verdict::Broken).is_broken());
    }
}
