//! Values with their units and bounds, and how each is written.

use crate::rule::Rule;
use etmem_core::forecast::AgeRule;
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::name::Name;
use etmem_core::throttle::Rate;
use std::num::IntErrorKind;
use std::time::Duration;

/// Bytes of a kibibyte, a mebibyte and a gibibyte.
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A share in percent, 0 to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
#[display("{_0}%")]
pub struct Percent(u8);

impl Percent {
    /// The number, 0 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Reads a whole number of at least `least`.
    pub fn read(text: &str, least: i64) -> Result<Self, Rule> {
        within(text, least, 100).map(Self)
    }
}

/// Between which shares of memory the swap cache is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Reclaim until below this one; at least 1 % and below `high`.
    pub low: Percent,
    /// Reclaim above this one.
    pub high: Percent,
}

/// Reads flags of mappings separated by spaces, at least one.
pub fn vm_flags(text: &str) -> Result<Vec<VmFlag>, Rule> {
    let flags: Option<Vec<_>> = text.split_ascii_whitespace().map(VmFlag::new).collect();
    let form = Rule::Form("two-letter flags as in smaps, separated by spaces, for example ht");
    flags.filter(|flags| !flags.is_empty()).ok_or(form)
}

/// Reads a name.
pub fn name(text: &str) -> Result<Name, Rule> {
    Name::new(text).map_err(Rule::Name)
}

/// Reads a whole number in `least..=most`, which `T` holds.
pub fn within<T: TryFrom<i64>>(text: &str, least: i64, most: i64) -> Result<T, Rule> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.and_then(|number: i64| T::try_from(number).ok()).ok_or(Rule::Whole { least, most })
}

/// Reads a whole number of at least `least`, which is not negative.
pub fn at_least(text: &str, least: u32) -> Result<u64, Rule> {
    let number: Result<i64, _> = text.parse();
    let least = i64::from(least);
    if number.as_ref().is_err_and(|error| error.kind() == &IntErrorKind::PosOverflow) {
        return Err(Rule::Whole { least, most: i64::MAX });
    }
    let number = number.ok().filter(|number| *number >= least);
    number.and_then(|number| u64::try_from(number).ok()).ok_or(Rule::AtLeast(least))
}

/// Reads a decimal number in `least..=most`.
pub fn decimal(text: &str, least: f64, most: f64) -> Result<f64, Rule> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or(Rule::Decimal { least, most })
}

/// Reads a whole number of seconds in `1..=1200`.
pub fn seconds(text: &str) -> Result<Duration, Rule> {
    within(text, 1, 1200).map(Duration::from_secs)
}

/// Reads a pause: a whole number of seconds in `1..=1200`, with or without `s`, or of milliseconds with `ms`, at least 10.
pub fn pause(text: &str) -> Result<Duration, Rule> {
    let Some(digits) = text.strip_suffix("ms") else {
        return seconds(text.strip_suffix('s').unwrap_or(text));
    };
    let milliseconds = within(digits, 10, 1_200_000).map(Duration::from_millis);
    milliseconds.map_err(|_| Rule::Form("10ms..=1200000ms, or 1..=1200 for seconds"))
}

/// Reads from which age on pages may leave: `auto`, `none`, or a whole number and then `s`, `m` or `h`, of 1 s to 12 h.
pub fn age(text: &str) -> Result<Option<AgeRule>, Rule> {
    const FORM: Rule = Rule::Form("auto, none, or a whole number and then s, m or h, of 1s to 12h");
    match text {
        "auto" => return Ok(Some(AgeRule::Auto)),
        "none" => return Ok(None),
        _ => {}
    }
    let mut digits = text.chars();
    let unit: u32 = match digits.next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some(_) | None => return Err(FORM),
    };
    let count: u32 = within(digits.as_str(), 1, i64::from(LONGEST_AGE / unit)).map_err(|_| FORM)?;
    Ok(Some(AgeRule::Fixed(Duration::from_secs(u64::from(count * unit)))))
}

/// The longest age that can be asked for, in seconds: with cycles of a second the steps of ages end some hours above.
const LONGEST_AGE: u32 = 12 * 3600;

/// Reads a whole number of microseconds, at least 1.
pub fn microseconds(text: &str) -> Result<Duration, Rule> {
    at_least(text, 1).map(Duration::from_micros)
}

/// Reads a whole number of MiB and gives bytes.
pub fn mebibytes(text: &str) -> Result<u64, Rule> {
    within::<u64>(text, 0, i32::MAX.into()).map(|count| count * MIB)
}

/// Reads `<digits>g` and gives bytes.
pub fn gibibytes(text: &str) -> Result<u64, Rule> {
    let digits = text.strip_suffix(['g', 'G']).filter(|_| text.len() <= 10);
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let count: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let form = Rule::Form("digits and then g or G, at most 10 characters, for example 10g");
    count.map(|count| count * GIB).ok_or(form)
}

/// Reads how fast pages may leave: `auto`, `none`, or digits and then `k`, `m` or `g` for that number of KiB, MiB or GiB a second,
/// at least 1.
pub fn rate(text: &str) -> Result<Rate, Rule> {
    const FORM: Rule = Rule::Form(
        "auto, none, or digits (at least 1) and then k, m or g, at most 10 characters, for example 50m for 50 MiB a second",
    );
    match text {
        "auto" => return Ok(Rate::default()),
        "none" => return Ok(Rate::Unlimited),
        _ => {}
    }
    let (count, unit) = count_and_unit(text).filter(|_| text.len() <= 10).ok_or(FORM)?;
    let unit = match unit {
        'k' | 'K' => KIB,
        'm' | 'M' => MIB,
        'g' | 'G' => GIB,
        _ => return Err(FORM),
    };
    Some(count).filter(|count| *count > 0).map(|count| Rate::BytesPerSecond(count * unit)).ok_or(FORM)
}

/// Reads digits and nothing else, and then one character.
#[must_use]
pub fn count_and_unit(text: &str) -> Option<(u64, char)> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((digits.parse().ok()?, unit))
}

/// Reads a decimal number in `least..=most`, or `none`.
pub fn decimal_or_none(text: &str, least: f64, most: f64) -> Result<Option<f64>, Rule> {
    if text == "none" {
        return Ok(None);
    }
    decimal(text, least, most).map(Some).map_err(|_| Rule::DecimalOrNone { least, most })
}

/// Reads `yes` or `no`.
pub fn yes_or_no(text: &str) -> Result<bool, Rule> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Rule::Form("yes or no")),
    }
}

/// Reads how many threads may work at once: any whole number, of which those below 1 act as 1.
pub fn threads(text: &str) -> Result<usize, Rule> {
    let count: i64 = text.parse().map_err(|_| Rule::Form("a whole number"))?;
    Ok(usize::try_from(count.max(1)).unwrap_or(usize::MAX))
}
