//! The levels that memory can be on, and what is missing for pages to go from one to the next.

use super::finding::Finding;
use super::text::size;
use crate::levels::machine::MachineLevels;
use crate::root::Roots;
use etmem_core::kernel::levels::{Level, LevelKind};

/// The levels of the machine, a line each.
pub(super) fn levels(roots: &Roots) -> Finding {
    let levels = MachineLevels::listed(roots);
    let names: Vec<&str> = levels.iter().map(|level| &*level.name).collect();
    Finding::ok("levels", names.join(", ")).with(levels.iter().flat_map(lines).collect())
}

fn lines(level: &Level) -> Vec<String> {
    let Level { kind, name, size: whole, used, takes, may_take, written, read, missing } = level;
    let what = match kind {
        LevelKind::Node => "memory",
        LevelKind::Zram => "compressed memory (zram)",
        LevelKind::ZramDisk => "the disk behind zram",
        LevelKind::Zswap => "compressed memory (zswap)",
        LevelKind::Disk => "swap",
    };
    let mut line = format!("{name}: {what}, {} used", size(*used));
    if let Some(whole) = whole {
        line += &format!(" of {}", size(*whole));
    }
    if let Some(takes) = takes {
        line += &format!(", takes {} of memory", size(*takes));
    }
    if let Some(may_take) = may_take {
        line += &format!(", may take {}", size(*may_take));
    }
    if let (Some(written), Some(read)) = (written, read) {
        line += &format!(", {} written, {} read back", size(*written), size(*read));
    }
    let missing = missing.iter().map(|missing| format!("{name}: nothing goes on from here: {missing}"));
    std::iter::once(line).chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_and_what_is_missing() {
        let level = Level {
            kind: LevelKind::Zram,
            name: "zram0".into(),
            size: Some(4 << 20),
            used: 2 << 20,
            takes: Some(1 << 20),
            may_take: Some(3 << 20),
            written: None,
            read: None,
            missing: vec!["no disk".to_owned()],
        };
        assert_eq!(
            lines(&level),
            [
                "zram0: compressed memory (zram), 2 MiB used of 4 MiB, takes 1 MiB of memory, may take 3 MiB",
                "zram0: nothing goes on from here: no disk",
            ]
        );
        let disk = Level {
            kind: LevelKind::ZramDisk,
            takes: None,
            may_take: None,
            written: Some(4096),
            read: Some(0),
            missing: Vec::new(),
            ..level
        };
        assert_eq!(
            lines(&disk),
            ["zram0: the disk behind zram, 2 MiB used of 4 MiB, 4 KiB written, 0 KiB read back"]
        );
    }
}
