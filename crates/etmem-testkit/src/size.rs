//! Sizes as people write and read them: `128M`, `1.0 GiB`.

/// Bytes in a page of the machines the tests run on.
pub const PAGE: usize = 4096;

/// Bytes in a MiB.
pub const MIB: usize = 1 << 20;

/// Bytes from `4096`, `64K`, `128M` or `1G`.
///
/// # Errors
/// Not a number with such a letter, or more than an address can say.
pub fn parse(text: &str) -> Result<usize, String> {
    let refused = || format!("{text:?} is not a size: write bytes, or a number with K, M or G");
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| refused())?;
    number.checked_mul(1 << shift).ok_or_else(refused)
}

/// `1.0 GiB`, `128 MiB` or `4 KiB`: what fits best.
pub fn show(bytes: usize) -> String {
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
    } else if bytes >= MIB {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{} KiB", bytes >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_multiply() {
        for (text, bytes) in
            [("4096", 4096), ("64K", 64 << 10), ("128M", 128 << 20), ("1g", 1 << 30), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(bytes));
        }
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "M", "1.5G", "-1", "1T", "99999999999999999999", "18446744073709551615G"] {
            assert!(parse(text).unwrap_err().contains(&format!("{text:?}")));
        }
    }
}
