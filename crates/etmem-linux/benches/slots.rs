//! How long it takes to choose the oldest slots of a zram device that holds 16 GiB, and how much memory: from a list of its slots as
//! the kernel writes it, in a file. What the kernel takes to write that list comes on top. `cargo bench -p etmem-linux --bench slots`.

use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::sinking::Sinking;
use etmem_linux::lasting::{Kept, Setting, SettingJournal};
use etmem_linux::pacer::SystemPacer;
use etmem_linux::root::{ProcRoot, Roots, SysRoot};
use etmem_linux::sinking::machine::MachineSinking;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

/// Pages of 16 GiB.
const SLOTS: u64 = 4 << 20;
/// Most bytes of memory for each of them.
const MOST_BYTES: f64 = 1.2;

/// Nothing is set.
#[derive(Debug)]
struct NoJournal;

impl SettingJournal for NoJournal {
    fn record(&self, _: &Setting) -> io::Result<Box<dyn Kept>> {
        Ok(Box::new(()))
    }
}

/// The most memory that this process has had, in bytes.
fn most_memory() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn main() -> Result<(), Box<dyn Error>> {
    let tree = tempfile::tempdir()?;
    let folder = tree.path().join("kernel/debug/zram/zram0");
    fs::create_dir_all(&folder)?;
    let mut list = BufWriter::new(File::create(folder.join("block_state"))?);
    // Times in no order of the slots, all of the first second of the machine.
    for slot in 0..SLOTS {
        let micros = slot.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
        writeln!(list, "{slot:12} {:12}.{:06} ......", 0, micros % 1_000_000)?;
    }
    list.into_inner()?.sync_all()?;
    let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
    let machine = MachineSinking::new(roots, Arc::new(NoJournal));
    let pacer = SystemPacer::new();
    for most in [32_768, 1 << 20] {
        let before = most_memory()?;
        let start = pacer.now();
        let old = machine.oldest("zram0", Duration::ZERO, most)?;
        let took = pacer.now() - start;
        let bytes = most_memory()?.saturating_sub(before) as f64 / SLOTS as f64;
        println!(
            "the oldest {} of {SLOTS} slots: {} ms, {bytes:.2} bytes of memory for each slot of the device (at most {MOST_BYTES})",
            old.slots.len(),
            took.as_millis(),
        );
        if old.slots.len() != most || bytes > MOST_BYTES {
            return Err("that is not as it has to be".into());
        }
    }
    Ok(())
}
