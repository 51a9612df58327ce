//! Files to readings. What a file says becomes numbers here; what is no number is left out.

use super::rows::{Row, Source, ZRAM_FILES, rows};
use crate::figures::{SwapDevice, bytes_of, counters, swap_devices};
use crate::root::{ProcRoot, Roots, SysRoot};
use crate::small_file;
use etmem_core::address::PAGE_SIZE;
use std::collections::BTreeMap;

/// A number of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Of which row.
    pub row: &'static Row,
    /// The device or file for swap that it is of, such as `zram0`, if it is of one.
    pub level: Option<String>,
    /// The kind of memory that it is of, if it is of one.
    pub kind: Option<&'static str>,
    /// The number.
    pub amount: u64,
}

/// All that the machine whose file systems are mounted at `roots` says, in the order of the rows.
#[must_use]
pub fn readings(roots: &Roots) -> Vec<Reading> {
    let files = Files::new(roots);
    rows().iter().flat_map(|row| files.of(row)).collect()
}

/// What is read once for all rows.
struct Files<'a> {
    vmstat: BTreeMap<String, u64>,
    meminfo: Vec<u8>,
    own: Vec<u8>,
    swaps: String,
    /// The texts of each zram device, by file.
    zram: Vec<(String, BTreeMap<&'static str, String>)>,
    sys: &'a SysRoot,
}

impl<'a> Files<'a> {
    fn new(roots: &'a Roots) -> Self {
        let of_machine = |file| small_file::read(&roots.proc.machine(file)).unwrap_or_default();
        let zram = |device: String| {
            let texts = ZRAM_FILES.map(|file| (file, text(&roots.sys, &format!("block/{device}/{file}"))));
            (device, texts.into())
        };
        // This process is in no scripted machine.
        let own = small_file::read(&ProcRoot::default().own("status")).unwrap_or_default();
        Self {
            vmstat: counters(&String::from_utf8_lossy(&of_machine("vmstat")))
                .map(|(name, number)| (name.to_owned(), number))
                .collect(),
            meminfo: of_machine("meminfo"),
            own,
            swaps: String::from_utf8_lossy(&of_machine("swaps")).into_owned(),
            zram: zram_devices(&roots.sys).into_iter().map(zram).collect(),
            sys: &roots.sys,
        }
    }

    fn of(&self, row: &'static Row) -> Vec<Reading> {
        let reading = |amount| Reading { row, level: None, kind: None, amount };
        match row.source {
            Source::Vmstat(lines) => {
                let known = lines.iter().filter_map(|(name, kind)| Some((self.vmstat.get(*name)?, *kind)));
                known
                    .map(|(pages, kind)| Reading { kind, ..reading(pages.saturating_mul(PAGE_SIZE)) })
                    .collect()
            }
            Source::Meminfo(name) => bytes_of(&self.meminfo, name).map(reading).into_iter().collect(),
            Source::Own(name) => bytes_of(&self.own, name).map(reading).into_iter().collect(),
            Source::SwapSize => self.levels(row, |device| device.size),
            Source::SwapUsed => self.levels(row, |device| device.used),
            Source::Zram(file, column, times) => {
                let amounts = self.zram.iter().filter_map(|(device, texts)| {
                    let number = number_at(texts.get(file)?, column)?;
                    Some(Reading { level: Some(device.clone()), ..reading(number.saturating_mul(times)) })
                });
                amounts.collect()
            }
            Source::Zswap(parameter) => {
                let text = text(self.sys, &format!("module/zswap/parameters/{parameter}"));
                let number = match text.trim() {
                    "Y" => Some(1),
                    "N" => Some(0),
                    number => number.parse().ok(),
                };
                number.map(reading).into_iter().collect()
            }
        }
    }

    /// A reading for each device or file for swap of which `figure` is known.
    fn levels(&self, row: &'static Row, figure: fn(SwapDevice<'_>) -> Option<u64>) -> Vec<Reading> {
        let known = swap_devices(&self.swaps).filter_map(|device| Some((device.name, figure(device)?)));
        known
            .map(|(name, amount)| Reading { row, level: Some(name.to_owned()), kind: None, amount })
            .collect()
    }
}

fn text(sys: &SysRoot, file: &str) -> String {
    String::from_utf8_lossy(&small_file::read(&sys.file(file)).unwrap_or_default()).into_owned()
}

/// The zram devices that are set up, by name. One that has no size yet says nothing.
fn zram_devices(sys: &SysRoot) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(sys.file("block")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.strip_prefix("zram").is_some_and(|end| end.parse::<u32>().is_ok()))
        .filter(|name| {
            number_at(&text(sys, &format!("block/{name}/disksize")), 0).is_some_and(|size| size > 0)
        })
        .collect();
    names.sort();
    names
}

fn number_at(text: &str, column: usize) -> Option<u64> {
    text.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Counts, Unit};
    use super::*;
    use std::fs;

    /// The readings of a machine with these files, by row and level or kind.
    fn of(files: &[(&str, &str)]) -> BTreeMap<String, u64> {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let roots = Roots {
            proc: ProcRoot::new(tree.path().join("proc")),
            sys: SysRoot::new(tree.path().join("sys")),
        };
        let named = |reading: Reading| {
            let of = reading.level.or(reading.kind.map(str::to_owned)).unwrap_or_default();
            (format!("{} {of}", reading.row.name).trim().to_owned(), reading.amount)
        };
        readings(&roots).into_iter().map(named).collect()
    }

    #[test]
    fn what_a_machine_with_zram_and_zswap_says() {
        let all = of(&[
            (
                "proc/vmstat",
                "nr_free_pages 7\nworkingset_refault_anon 3\nworkingset_refault_file 4\nzswpin 5\nzswpout 6\nzswpwb 1\nbad x\n",
            ),
            ("proc/meminfo", "MemTotal: 100 kB\nZswap: 3 kB\nZswapped: 9 kB\n"),
            (
                "proc/swaps",
                "Filename Type Size Used Priority\n/dev/zram0 partition 1024 24 100\n/var/swap\\040file file 2048 0 -2\n",
            ),
            ("sys/module/zswap/parameters/enabled", "Y\n"),
            ("sys/module/zswap/parameters/max_pool_percent", "20\n"),
            ("sys/block/zram0/disksize", "1048576\n"),
            ("sys/block/zram0/mm_stat", " 900 300 400 0 500 6 7 8 9\n"),
            ("sys/block/zram0/io_stat", " 0 2 0 11\n"),
            ("sys/block/zram0/bd_stat", " 3 4 5\n"),
            ("sys/block/zram1/disksize", "0\n"),
            ("sys/block/zram1/mm_stat", "0 0 0 0 0 0 0 0 0\n"),
            ("sys/block/vda/stat", "1\n"),
        ]);
        for (name, amount) in [
            ("level_size zram0", 1 << 20),
            ("level_used zram0", 24 << 10),
            ("level_size /var/swap\\040file", 2 << 20),
            ("workingset_refault anon", 3 * 4096),
            ("workingset_refault file", 4 * 4096),
            ("zswap_in", 5 * 4096),
            ("zswap_out", 6 * 4096),
            ("zswap_written_back", 4096),
            ("zswap_pool", 3 << 10),
            ("zswap_stored", 9 << 10),
            ("zswap_enabled", 1),
            ("zswap_max_pool", 20),
            ("zram_original zram0", 900),
            ("zram_memory zram0", 400),
            ("zram_memory_limit zram0", 0),
            ("zram_incompressible_pages_stored zram0", 9),
            ("zram_failed_writes zram0", 2),
            ("zram_freed_slots zram0", 11),
            ("zram_backing_written zram0", 5 * 4096),
        ] {
            assert_eq!(all.get(name), Some(&amount), "{name} in {all:?}");
        }
        assert!(all["daemon_resident"] > 0);
        assert!(!all.keys().any(|name| name.contains("zram1") || name.contains("swap_zero")), "{all:?}");
    }

    #[test]
    fn a_machine_that_says_nothing_or_nonsense() {
        assert_eq!(of(&[]).len(), 1, "only of this process");
        let all = of(&[
            ("proc/vmstat", "zswpin\nzswpout -3\n\u{0}"),
            ("proc/swaps", "Filename\n/dev/sda\n\n/dev/sdb partition x 99999999999999999999 1\n"),
            ("sys/module/zswap/parameters/enabled", "maybe\n"),
            ("sys/block/zram0/disksize", "1\n"),
            ("sys/block/zram0/mm_stat", "1\n"),
            ("sys/block/zramble/disksize", "1\n"),
        ]);
        assert_eq!(
            all.keys().map(String::as_str).collect::<Vec<_>>(),
            ["daemon_resident", "zram_original zram0"]
        );
    }

    #[test]
    fn names_have_no_unit_and_are_there_once() {
        for (index, row) in rows().iter().enumerate() {
            assert!(!row.name.ends_with("bytes") && !row.name.ends_with("total"), "{}", row.name);
            assert!(!rows()[..index].iter().any(|other| other.name == row.name), "{}", row.name);
            assert!(row.unit != Unit::Percent || row.counts == Counts::Now, "{}", row.name);
        }
    }
}
