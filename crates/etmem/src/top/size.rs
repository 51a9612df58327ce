//! Sizes and shares in few columns.

/// At most five columns: `0`, `512K`, `37.5M`, `896M`, `3.1G`, `12T`.
pub(super) fn size(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    let mut tenths = u128::from(bytes) * 10;
    for unit in ["K", "M", "G"] {
        tenths = tenths.div_ceil(1024);
        if tenths < 10_240 {
            return shown(tenths, unit);
        }
    }
    shown(tenths.div_ceil(1024), "T")
}

fn shown(tenths: u128, unit: &str) -> String {
    if tenths < 1000 && !tenths.is_multiple_of(10) {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", tenths / 10)
    }
}

/// A share of one, in percent.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 10.0 { format!("{percent:.2}%") } else { format!("{percent:.0}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0"),
            (1, "0.1K"),
            (4096, "4K"),
            (1023 << 10, "1023K"),
            (1 << 20, "1M"),
            ((37 << 20) + (1 << 19), "37.5M"),
            (896 << 20, "896M"),
            (3 << 30, "3G"),
            ((3 << 30) + (100 << 20), "3.1G"),
            (5 << 40, "5T"),
            (u64::MAX, "16777216T"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!([percent(0.0), percent(0.0123), percent(0.5)], ["0.00%", "1.23%", "50%"]);
    }
}
