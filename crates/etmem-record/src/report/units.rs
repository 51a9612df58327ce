//! Bytes, times and shares in few characters.

use std::time::Duration;

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// `bytes` in the largest unit of which there is one.
pub(super) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut number = bytes as f64;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 || number >= 100.0 || number.fract() == 0.0 {
        format!("{number:.0} {}", UNITS[unit])
    } else {
        format!("{number:.1} {}", UNITS[unit])
    }
}

/// A time since the beginning.
pub(super) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

/// An age for which bytes were idle.
pub(super) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// A share in millionths, in percent.
pub(super) fn percent(millionths: u32) -> String {
    let percent = f64::from(millionths) / 10_000.0;
    match millionths {
        0 => "0 %".to_owned(),
        1..1000 => format!("{percent:.4} %"),
        1000..100_000 => format!("{percent:.2} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// The distance of marks on an axis of length `whole`, of which about `wanted` fit: a time that is easily read.
pub(super) fn step_of_time(whole: Duration, wanted: u32) -> Duration {
    const STEPS: [u64; 17] =
        [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 21_600, 86_400];
    let least = whole / wanted.max(1);
    let found = STEPS.iter().map(|seconds| Duration::from_secs(*seconds)).find(|step| *step >= least);
    found.unwrap_or_else(|| {
        Duration::from_secs(86_400) * (whole.as_secs() / 86_400 / 10).max(1).try_into().unwrap_or(1)
    })
}

/// Text inside of XML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            // XML has no way to write these.
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_characters() {
        for (bytes, want) in
            [(0, "0 B"), (1023, "1023 B"), (4096, "4 KiB"), (1536 << 10, "1.5 MiB"), (16 << 30, "16 GiB")]
        {
            assert_eq!(size(bytes), want);
        }
        let seconds = Duration::from_secs;
        for (number, want) in
            [(0, "0 s"), (60, "1 min"), (95, "1:35 min"), (3600, "1:00 h"), (90_000, "25:00 h")]
        {
            assert_eq!(time(seconds(number)), want);
        }
        for (number, want) in
            [(0, "0 %"), (1, "0.0001 %"), (999, "0.0999 %"), (1000, "0.10 %"), (1_000_000, "100 %")]
        {
            assert_eq!(percent(number), want);
        }
        for (whole, want) in [(1, 1), (60, 10), (600, 120), (86_400, 14_400), (10 * 86_400, 86_400)] {
            assert_eq!(step_of_time(seconds(whole), 8).as_secs(), want, "{whole}");
        }
        assert_eq!(escaped("<a&\"b'\u{1b}>"), "&lt;a&amp;&quot;b&#39;\u{fffd}&gt;");
    }
}
