//! The swap areas in use, from `/proc/swaps` (sizes there are in KiB).

use std::fs;

use anyhow::{Context, Result};

/// One area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its device or file.
    pub path: String,
    /// Bytes in all.
    pub size: usize,
    /// Bytes in use.
    pub used: usize,
}

/// What is in use now.
///
/// # Errors
/// `/proc/swaps` cannot be read (a kernel without swap).
pub fn areas() -> Result<Vec<Area>> {
    let text =
        fs::read_to_string("/proc/swaps").context("cannot read /proc/swaps: the kernel has no swap")?;
    Ok(parse(&text))
}

/// Bytes free in all areas.
pub fn free() -> usize {
    areas().unwrap_or_default().iter().map(|area| area.size - area.used).sum()
}

fn parse(text: &str) -> Vec<Area> {
    let area = |line: &str| {
        let mut fields = line.split_whitespace();
        let path = fields.next()?.to_owned();
        let mut kib = fields.skip(1).map(str::parse::<usize>);
        let (size, used) = (kib.next()?.ok()? << 10, kib.next()?.ok()? << 10);
        Some(Area { path, size, used: used.min(size) })
    };
    text.lines().skip(1).filter_map(area).collect()
}

/// Memory that `/dev/zram0` takes for what is in it, in bytes.
///
/// # Errors
/// There is no such device.
pub fn zram_used() -> Result<u64> {
    let text = fs::read_to_string("/sys/block/zram0/mm_stat")?;
    Ok(text.split_whitespace().nth(2).context("mm_stat")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_areas() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
                    /dev/zram0                              partition\t1048572\t\t1024\t\t-2\n\
                    /swap\\040file                          file\t\t4\t\t0\t\t-3\n";
        let zram = Area { path: "/dev/zram0".into(), size: 1_048_572 << 10, used: 1 << 20 };
        let file = Area { path: "/swap\\040file".into(), size: 4096, used: 0 };
        assert_eq!(parse(text), [zram, file]);
        assert_eq!(parse(""), []);
    }
}
