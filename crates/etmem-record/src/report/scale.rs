//! What colour a cell of a heat map has: by the highest share of its pages that was touched between two looks, in half powers of ten, so
//! that few hot pages among many idle ones are seen, too.

/// A step: from this share on, in millionths.
pub(super) const STEPS: [u32; 9] = [1, 30, 100, 300, 1000, 3000, 10_000, 100_000, 300_000];

/// The same, in words.
pub(super) const WORDS: [&str; 9] = ["<0.003", "0.003", "0.01", "0.03", "0.1", "0.3", "1", "10", "30"];

/// From light to dark; the lightest is of another hue than idle memory.
pub(super) const COLOURS: [&str; 9] =
    ["#ffe08a", "#ffc94f", "#fdae32", "#fb8d2c", "#f4682b", "#e03e2c", "#be1d30", "#8f0d3a", "#4d0530"];

/// Memory that was not touched.
pub(super) const IDLE: &str = "#dbe2ea";

/// The same on a terminal (colours of 256).
pub(super) const TERMINAL: [u8; 9] = [229, 222, 220, 214, 208, 202, 160, 124, 52];

/// The step of a share in millionths: 0 for none, else 1 to 9.
#[must_use]
pub fn step(millionths: u32) -> usize {
    STEPS.iter().take_while(|least| millionths >= **least).count()
}

/// `part` of `whole` in millionths, at least one if there is any.
#[must_use]
pub fn share(part: u64, whole: u64) -> u32 {
    if part == 0 || whole == 0 {
        return 0;
    }
    let share = u128::from(part) * 1_000_000 / u128::from(whole);
    u32::try_from(share).unwrap_or(1_000_000).clamp(1, 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_never_nothing() {
        for (part, whole, want) in [
            (0, 9, 0),
            (1, u64::MAX, 1),
            (1, 4096, 3),
            (12, 4096, 5),
            (1, 10, 8),
            (1, 2, 9),
            (7, 7, 9),
            (1, 0, 0),
        ] {
            assert_eq!(step(share(part, whole)), want, "{part} of {whole}");
        }
    }
}
