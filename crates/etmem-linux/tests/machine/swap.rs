//! Swap to move pages to: what the machine has, or a zram device for as long as a trial takes.

use etmem_core::kernel::memory::SystemMemory;
use etmem_linux::memory::MachineMemory;
use etmem_linux::root::Roots;
use libtest_mimic::Failed;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::process::Command;

const LOCK: &str = "/run/lock/etmem-test-swap.lock";
const SIZE: &str = "/sys/block/zram0/disksize";
const RESET: &str = "/sys/block/zram0/reset";
const DEVICE: &str = "/dev/zram0";

/// Swap that a trial needs at most, in bytes.
const ROOM: u64 = 128 << 20;

/// Swap for one trial at a time, given back when dropped.
#[derive(Debug)]
pub(crate) struct Swap {
    zram: bool,
    _lock: Flock<File>,
}

/// CAP_SYS_ADMIN (`include/uapi/linux/capability.h`), which switching swap on needs.
const SYS_ADMIN: u64 = 1 << 21;

/// Whether there is swap or could be.
pub(crate) fn possible() -> Result<(), String> {
    if has_room() {
        return Ok(());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .unwrap_or(0);
    if capabilities & SYS_ADMIN == 0 {
        return Err("no swap on this machine, and no right to make some (CAP_SYS_ADMIN)".into());
    }
    // Opening it changes nothing.
    match File::options().write(true).open(SIZE) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no swap on this machine, and none to be made: {SIZE}: {error}")),
    }
}

fn has_room() -> bool {
    MachineMemory::new(&Roots::default()).state().is_ok_and(|state| state.swap_free >= ROOM)
}

fn run(program: &str) -> Result<(), Failed> {
    let output = Command::new(program).arg(DEVICE).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {DEVICE}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

impl Swap {
    /// Waits for its turn, then makes sure there is swap.
    pub(crate) fn new() -> Result<Self, Failed> {
        let file = File::options().create(true).append(true).open(LOCK)?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        if has_room() {
            return Ok(Self { zram: false, _lock: lock });
        }
        if fs::read_to_string(SIZE)?.trim() != "0" {
            return Err(format!("{DEVICE} is in use by another program").into());
        }
        // From here on dropping takes it back, however far it got.
        let swap = Self { zram: true, _lock: lock };
        fs::write(SIZE, "512M")?;
        run("mkswap")?;
        run("swapon")?;
        Ok(swap)
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if self.zram {
            // Not on yet where making it failed.
            drop(run("swapoff"));
            if let Err(error) = fs::write(RESET, "1") {
                eprintln!("{RESET}: {error}");
            }
        }
    }
}
