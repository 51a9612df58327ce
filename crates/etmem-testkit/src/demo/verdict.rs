//! What must hold at the end of the demo, and whether it does.

use std::fmt;

/// Least share of the cold memory that must have left.
pub const COLD_OUT: f64 = 0.99;
/// Most of the hot pages that may have left.
pub const HOT_OUT: f64 = 0.001;
/// Least share of the earlier rate that the workload must have.
pub const RATE: f64 = 0.95;

/// A statement with its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    what: &'static str,
    measured: String,
    bound: String,
    holds: bool,
}

impl Claim {
    /// Share of cold pages that left memory.
    pub fn cold_out(share: f64) -> Self {
        Self {
            what: "cold memory that left",
            measured: percent(share),
            bound: format!("at least {}", percent(COLD_OUT)),
            holds: share >= COLD_OUT,
        }
    }

    /// Share of hot pages that left memory.
    pub fn hot_out(share: f64) -> Self {
        Self {
            what: "hot pages that left",
            measured: percent(share),
            bound: format!("at most {}", percent(HOT_OUT)),
            holds: share <= HOT_OUT,
        }
    }

    /// The workload's rate over its rate before.
    pub fn rate(share: f64) -> Self {
        Self {
            what: "the workload's rate, of before",
            measured: percent(share),
            bound: format!("at least {}", percent(RATE)),
            holds: share >= RATE,
        }
    }

    /// Bytes found as they were written, of so many; or why not.
    pub fn whole(verified: Result<usize, String>, bytes: usize) -> Self {
        let holds = verified.as_ref() == Ok(&bytes);
        let measured = verified.map_or_else(|why| why, |found| format!("{} MiB", found >> 20));
        Self {
            what: "content read back unharmed",
            measured,
            bound: format!("all {} MiB", bytes >> 20),
            holds,
        }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.holds
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds { "holds" } else { "DOES NOT HOLD" };
        write!(out, "  {:<32} {:>10}   {:<18} {verdict}", self.what, self.measured, self.bound)
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_where_they_are_said_to_be() {
        assert!(Claim::cold_out(0.99).holds() && !Claim::cold_out(0.9899).holds());
        assert!(Claim::hot_out(0.001).holds() && !Claim::hot_out(0.0011).holds());
        assert!(Claim::rate(0.95).holds() && !Claim::rate(0.9499).holds());
        assert!(Claim::whole(Ok(4096), 4096).holds() && !Claim::whole(Ok(4095), 4096).holds());
        assert!(!Claim::whole(Err(String::from("damaged 7f00")), 4096).holds());
        assert!(!Claim::rate(f64::NAN).holds());
    }

    #[test]
    fn a_line_tells_value_bound_and_verdict() {
        let line = Claim::rate(0.5).to_string();
        assert!(
            line.contains("50.00 %") && line.contains("95.00 %") && line.contains("DOES NOT HOLD"),
            "{line}"
        );
    }
}
