//! Values with their units and bounds, and how each is written.

use crate::error::Rule;
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::name::Name;
use etmem_core::throttle::Rate;
use std::fmt;
use std::num::IntErrorKind;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of a kibibyte, a mebibyte and a gibibyte.
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A share in percent, 0 to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// The share `percent`; none above 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// The number, 0 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Reads a whole number of at least `least`.
    pub(crate) fn read(text: &str, least: i64) -> Result<Self, Rule> {
        within(text, least, 100).map(Self)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A share as a decimal number, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Fraction(f64);

impl Fraction {
    /// The share `fraction`; none outside 0 to 1.
    #[must_use]
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
    }

    /// The number, 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    pub(crate) fn read(text: &str) -> Result<Self, Rule> {
        decimal(text, 0.0, 1.0).map(Self)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

/// Two NUMA nodes between which pages move, in the order written. Which one is the slow one the hardware
/// decides; where it does not, the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePair {
    /// The node written first.
    pub first: u32,
    /// The node written second, never the same.
    pub second: u32,
}

impl NodePair {
    /// Reads `a,b;c,d` with every node once; a `;` may end the list.
    pub(crate) fn read_list(text: &str) -> Result<Vec<Self>, Rule> {
        const FORM: Rule = Rule::Form("pairs of node numbers such as 2,0;3,1, each node once");
        let node = |text: &str| within::<u32>(text.trim(), 0, i32::MAX.into()).map_err(|_| FORM);
        let mut seen = std::collections::BTreeSet::new();
        let mut pairs = Vec::new();
        for pair in text.trim_end().strip_suffix(';').unwrap_or(text).split(';') {
            let (first, second) = pair.split_once(',').ok_or(FORM)?;
            let (first, second) = (node(first)?, node(second)?);
            if !seen.insert(first) || !seen.insert(second) {
                return Err(FORM);
            }
            pairs.push(Self { first, second });
        }
        Ok(pairs)
    }
}

/// Reads flags of mappings separated by spaces, at least one.
pub(crate) fn vm_flags(text: &str) -> Result<Vec<VmFlag>, Rule> {
    let flags: Option<Vec<_>> = text.split_ascii_whitespace().map(VmFlag::new).collect();
    let form = Rule::Form("two-letter flags as in smaps, separated by spaces, for example ht");
    flags.filter(|flags| !flags.is_empty()).ok_or(form)
}

/// What DAMON does to a region that fits a scheme's pattern (the kernel's `enum damos_action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own words, which its DAMON manual explains")]
pub enum DamosAction {
    WillNeed,
    Cold,
    PageOut,
    HugePage,
    NoHugePage,
    Stat,
}

impl DamosAction {
    /// The word for it, in the file and in the kernel's files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WillNeed => "willneed",
            Self::Cold => "cold",
            Self::PageOut => "pageout",
            Self::HugePage => "hugepage",
            Self::NoHugePage => "nohugepage",
            Self::Stat => "stat",
        }
    }

    pub(crate) fn read(text: &str) -> Result<Self, Rule> {
        [Self::WillNeed, Self::Cold, Self::PageOut, Self::HugePage, Self::NoHugePage, Self::Stat]
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or(Rule::Form("willneed, cold, pageout, hugepage, nohugepage or stat"))
    }
}

/// Where an external decider listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAddress {
    /// A name in the abstract namespace, without the leading zero byte: 1 to 107 bytes.
    Abstract(Box<str>),
    /// A path of at most 107 bytes.
    Path(PathBuf),
}

impl SocketAddress {
    /// Reads `@NAME`, an absolute path, or `-` for `standard`.
    pub(crate) fn read(text: &str, standard: &str) -> Result<Self, Rule> {
        // sun_path has 108 bytes, of which one is the leading or the trailing zero.
        const FORM: Rule = Rule::Form("an absolute path, @NAME or -, of at most 107 bytes");
        let text = if text == "-" { standard } else { text };
        match text.strip_prefix('@') {
            Some(name) if (1..=107).contains(&name.len()) => Ok(Self::Abstract(name.into())),
            None if text.starts_with('/') && text.len() <= 107 => Ok(Self::Path(text.into())),
            Some(_) | None => Err(FORM),
        }
    }
}

/// Reads a name.
pub(crate) fn name(text: &str) -> Result<Name, Rule> {
    Name::new(text).map_err(Rule::Name)
}

/// Reads a whole number in `least..=most`, which `T` holds.
pub(crate) fn within<T: TryFrom<i64>>(text: &str, least: i64, most: i64) -> Result<T, Rule> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.and_then(|number: i64| T::try_from(number).ok()).ok_or(Rule::Whole { least, most })
}

/// Reads a whole number of at least `least`, which is not negative.
pub(crate) fn at_least(text: &str, least: u32) -> Result<u64, Rule> {
    let number: Result<i64, _> = text.parse();
    let least = i64::from(least);
    if number.as_ref().is_err_and(|error| error.kind() == &IntErrorKind::PosOverflow) {
        return Err(Rule::Whole { least, most: i64::MAX });
    }
    let number = number.ok().filter(|number| *number >= least);
    number.and_then(|number| u64::try_from(number).ok()).ok_or(Rule::AtLeast { least })
}

/// Reads a decimal number in `least..=most`.
pub(crate) fn decimal(text: &str, least: f64, most: f64) -> Result<f64, Rule> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or(Rule::Decimal { least, most })
}

/// Reads a whole number of seconds in `1..=1200`.
pub(crate) fn seconds(text: &str) -> Result<Duration, Rule> {
    within(text, 1, 1200).map(Duration::from_secs)
}

/// Reads a whole number of microseconds, at least 1.
pub(crate) fn microseconds(text: &str) -> Result<Duration, Rule> {
    at_least(text, 1).map(Duration::from_micros)
}

/// Reads a whole number of MiB and gives bytes.
pub(crate) fn mebibytes(text: &str) -> Result<u64, Rule> {
    within::<u64>(text, 0, i32::MAX.into()).map(|count| count * MIB)
}

/// Reads `<digits>g` and gives bytes.
pub(crate) fn gibibytes(text: &str) -> Result<u64, Rule> {
    let digits = text.strip_suffix(['g', 'G']).filter(|_| text.len() <= 10);
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let count: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let form = Rule::Form("digits and then g or G, at most 10 characters, for example 10g");
    count.map(|count| count * GIB).ok_or(form)
}

/// Reads how fast pages may leave: `auto`, `none`, or digits and then `k`, `m` or `g` for so many KiB, MiB or GiB a second,
/// at least 1.
pub(crate) fn rate(text: &str) -> Result<Rate, Rule> {
    const FORM: Rule = Rule::Form(
        "auto, none, or digits (at least 1) and then k, m or g, at most 10 characters, for example 50m for 50 MiB a second",
    );
    match text {
        "auto" => return Ok(Rate::default()),
        "none" => return Ok(Rate::Unlimited),
        _ => {}
    }
    let mut digits = text.chars();
    let unit = match digits.next_back() {
        Some('k' | 'K') => KIB,
        Some('m' | 'M') => MIB,
        Some('g' | 'G') => GIB,
        Some(_) | None => return Err(FORM),
    };
    let digits = Some(digits.as_str()).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let count: Option<u64> = digits.filter(|_| text.len() <= 10).and_then(|digits| digits.parse().ok());
    count.filter(|count| *count > 0).map(|count| Rate::BytesPerSecond(count * unit)).ok_or(FORM)
}

/// Reads a decimal number in `least..=most`, or `none`.
pub(crate) fn decimal_or_none(text: &str, least: f64, most: f64) -> Result<Option<f64>, Rule> {
    if text == "none" {
        return Ok(None);
    }
    decimal(text, least, most).map(Some).map_err(|_| Rule::DecimalOrNone { least, most })
}

/// Reads `yes` or `no`.
pub(crate) fn yes_or_no(text: &str) -> Result<bool, Rule> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(Rule::Form("yes or no")),
    }
}
