//! What is said of a forecast: in words, and in JSON.

use crate::figures::Seconds;
use etmem_core::forecast::{Offer, Stage, Swept, Told};
use etmem_core::kernel::pressure::Share;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A forecast in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    age_seconds: Option<Seconds>,
    watched_seconds: Seconds,
    forecast_percent_per_minute: f64,
    truth_percent_per_minute: f64,
    /// `all`, `first` or `trial`.
    stage: &'static str,
    /// Bytes that may still leave in this round; null where nothing limits them.
    may_leave_bytes: Option<u64>,
    swept: Option<ShownSwept>,
    offers: Vec<ShownOffer>,
}

#[derive(Debug, Serialize)]
struct ShownSwept {
    period_seconds: Option<Seconds>,
    hold_seconds: Seconds,
    counted: bool,
}

#[derive(Debug, Serialize)]
struct ShownOffer {
    age_seconds: Seconds,
    idle_bytes: u64,
    percent_per_minute: f64,
    percent_of_goal: f64,
}

fn number(share: Share) -> f64 {
    f64::from(share.hundredths()) / 100.0
}

impl From<&Told> for Shown {
    fn from(told: &Told) -> Self {
        let (stage, may_leave_bytes) = match told.stage {
            Stage::Free => ("all", None),
            Stage::First(bytes) => ("first", Some(bytes)),
            Stage::Trial(bytes) => ("trial", Some(bytes)),
        };
        Self {
            age_seconds: told.age.map(Seconds),
            watched_seconds: Seconds(told.watched),
            forecast_percent_per_minute: number(told.forecast),
            truth_percent_per_minute: number(told.truth),
            stage,
            may_leave_bytes,
            swept: told.swept.map(|swept| ShownSwept {
                period_seconds: swept.period.map(Seconds),
                hold_seconds: Seconds(swept.hold),
                counted: !swept.rare,
            }),
            offers: told.offers.iter().map(ShownOffer::from).collect(),
        }
    }
}

impl From<&Offer> for ShownOffer {
    fn from(offer: &Offer) -> Self {
        Self {
            age_seconds: Seconds(offer.age),
            idle_bytes: offer.idle,
            percent_per_minute: number(offer.per_minute),
            percent_of_goal: number(offer.of_goal),
        }
    }
}

/// A forecast in words: the age, what it was to bring back and did, and what other ages offer.
#[derive(Debug)]
pub struct InWords<'a>(pub &'a Told);

impl fmt::Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { age, watched, forecast, truth, swept, offers, .. } = self.0;
        match age {
            Some(age) => {
                write!(f, "pages leave that were idle for {}", Time(*age))?;
                write!(f, "; {forecast} a minute expected to come back, {truth} did")?;
            }
            None => write!(f, "{}", NoAge(*watched))?,
        }
        if let Some(swept) = swept {
            write!(f, "; {}", SweptInWords(swept))?;
        }
        let at =
            age.and_then(|age| offers.iter().find(|offer| offer.age == age)).map_or(0, |offer| offer.idle);
        for Offer { age: other, idle, per_minute, of_goal } in offers.iter().rev() {
            if Some(*other) != *age && *idle > at {
                let more = if age.is_some() { "more" } else { "idle" };
                write!(
                    f,
                    "; at {}: {} MiB {more}, {per_minute} a minute would come back ({of_goal} of what may, in the worst hour)",
                    Time(*other),
                    (idle - at) >> 20
                )?;
            }
        }
        Ok(())
    }
}

/// That no age is known after so long, in words.
#[derive(Debug)]
pub(crate) struct NoAge(pub(crate) Duration);

impl fmt::Display for NoAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watched = Time(self.0);
        write!(
            f,
            "nothing leaves yet: after {watched} of watching, no age is known at which little enough would come back"
        )
    }
}

/// What is swept, in words.
#[derive(Debug)]
pub(crate) struct SweptInWords<'a>(pub(crate) &'a Swept);

impl fmt::Display for SweptInWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Swept { period, hold, rare } = self.0;
        match period {
            Some(period) if *rare => {
                write!(f, "all of it is touched every {}, which is not counted", Time(*period))
            }
            Some(period) => write!(f, "all of it is touched every {}: nothing here is cold", Time(*period)),
            None => {
                write!(f, "all of it was touched at once, once")?;
                if hold.is_zero() { Ok(()) } else { write!(f, ": nothing leaves for {}", Time(*hold)) }
            }
        }
    }
}

/// A time as people say it.
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds.div_ceil(60)),
            seconds => write!(f, "{} h", (seconds + 1800) / 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        let offer = |seconds, mib: u64, hundredths| Offer {
            age: Duration::from_secs(seconds),
            idle: mib << 20,
            per_minute: Share::of_hundredths(hundredths),
            of_goal: Share::of_hundredths(hundredths * 500),
        };
        Told {
            age: Some(Duration::from_secs(180)),
            watched: Duration::from_secs(600),
            forecast: Share::of_hundredths(5),
            truth: Share::of_hundredths(4),
            stage: Stage::First(5 << 20),
            swept: None,
            offers: vec![offer(120, 410, 60), offer(180, 100, 4)],
        }
    }

    #[test]
    fn words() {
        assert_eq!(
            InWords(&told()).to_string(),
            "pages leave that were idle for 3 min; 0.05 % a minute expected to come back, 0.04 % did; at 2 min: 310 MiB more, \
             0.60 % a minute would come back (300.00 % of what may, in the worst hour)"
        );
        let swept = Swept { period: Some(Duration::from_secs(15)), hold: Duration::ZERO, rare: false };
        let told = Told { age: None, swept: Some(swept), offers: Vec::new(), ..told() };
        assert_eq!(
            InWords(&told).to_string(),
            "nothing leaves yet: after 10 min of watching, no age is known at which little enough would come back; all of it \
             is touched every 15 s: nothing here is cold"
        );
    }

    #[test]
    fn sweeps() {
        let swept = |period: Option<u64>, hold, rare| {
            let period = period.map(Duration::from_secs);
            SweptInWords(&Swept { period, hold: Duration::from_secs(hold), rare }).to_string()
        };
        assert_eq!(swept(Some(86_400), 0, true), "all of it is touched every 24 h, which is not counted");
        assert_eq!(swept(None, 0, true), "all of it was touched at once, once");
        assert_eq!(swept(None, 3600, true), "all of it was touched at once, once: nothing leaves for 60 min");
    }

    #[test]
    fn json() {
        let json = serde_json::to_value(Shown::from(&told())).unwrap();
        assert_eq!(
            (&json["age_seconds"], &json["stage"], &json["may_leave_bytes"]),
            (&180.0.into(), &"first".into(), &(5 << 20).into())
        );
        assert_eq!(json["offers"][0]["percent_per_minute"], 0.6);
        assert!(json["swept"].is_null());
    }
}
