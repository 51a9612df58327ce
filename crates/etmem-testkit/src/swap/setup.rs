//! Makes a swap area and takes it away: zram, or a file on a file system that can hold one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::statfs;
use nix::sys::statvfs::statvfs;

use super::area;
use crate::machine::{self, find_program};
use crate::process::run;
use crate::size::{self, MIB};

/// Names of swap files, by which they are known as ours: the one, and the one that comes to it.
pub const FILES: [&str; 2] = ["etmem-test.swap", "etmem-test-more.swap"];

const ZRAM_DEVICE: &str = "/dev/zram0";
const ZRAM_SETTINGS: &str = "/sys/block";
const ZRAM_CONTROL: &str = "/sys/class/zram-control";
/// Taking swap away reads back all that is in it.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// Memory that must stay free besides what zram holds.
const MEMORY_RESERVE: usize = 256 * MIB;

/// An area of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setup {
    /// A device of compressed memory.
    Zram(PathBuf),
    /// A file.
    File(PathBuf),
}

impl Setup {
    /// What could be made here for `bytes`, best first.
    ///
    /// # Errors
    /// Nothing can; the message says why not for each way.
    pub fn choose(bytes: usize) -> Result<Self> {
        if let Some(missing) =
            ["mkswap", "swapon", "swapoff"].into_iter().find(|name| find_program(name).is_none())
        {
            bail!("there is no {missing}: install util-linux");
        }
        let [name, _] = FILES;
        match (zram_lacks(bytes), file_for(bytes, name)) {
            (None, _) => Ok(Self::Zram(PathBuf::from(ZRAM_DEVICE))),
            (Some(_), Ok(file)) => Ok(Self::File(file)),
            (Some(zram), Err(file)) => bail!("no swap can be set up: {zram}; {file}"),
        }
    }

    /// What could be made besides.
    ///
    /// # Errors
    /// Nothing can; the message says why not.
    pub fn more(bytes: usize) -> Result<Self> {
        let [_, name] = FILES;
        file_for(bytes, name).map(Self::File).or_else(|no_file| match zram_to_add() {
            Some(device) => Ok(Self::Zram(device)),
            None => Err(no_file.context("no more swap can be added: no zram device either")),
        })
    }

    /// The device or file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Zram(path) | Self::File(path) => path,
        }
    }

    /// Makes it and puts it to use.
    ///
    /// # Errors
    /// A step is refused; what was done before it stays until [`Setup::undo`].
    pub fn make(&self, bytes: usize) -> Result<()> {
        // The first page of an area tells what it is and holds nothing.
        let bytes = bytes + MIB;
        match self {
            Self::Zram(device) => {
                if !device.exists() {
                    // Its number is the one that was free.
                    let _ = fs::read_to_string(format!("{ZRAM_CONTROL}/hot_add"))?;
                }
                let offered = fs::read_to_string(zram(device, "comp_algorithm")).unwrap_or_default();
                if offered.contains("lz4") {
                    set_zram(device, "comp_algorithm", "lz4")?;
                }
                set_zram(device, "disksize", &bytes.to_string())?;
                self.put_to_use()
            }
            Self::File(path) => {
                reserve(path, bytes)?;
                // Some file systems hand out space that swap cannot lie in; written space always can.
                self.put_to_use().or_else(|_| fill(path, bytes).and_then(|()| self.put_to_use()))
            }
        }
    }

    /// Takes it out of use and away; what is not there any more is as good as undone.
    ///
    /// # Errors
    /// The kernel cannot take it out of use (too little memory for what is in it).
    pub fn undo(&self) -> Result<()> {
        let path = self.path();
        if area::areas()?.iter().any(|area| Path::new(&area.path) == path) {
            administer("swapoff", path)?;
        }
        match self {
            Self::Zram(device) => set_zram(device, "reset", "1"),
            Self::File(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("cannot remove {}", path.display()))
                }
                _ => Ok(()),
            },
        }
    }

    fn put_to_use(&self) -> Result<()> {
        administer("mkswap", self.path())?;
        administer("swapon", self.path())
    }
}

fn zram_lacks(bytes: usize) -> Option<String> {
    match fs::read_to_string(zram(Path::new(ZRAM_DEVICE), "disksize")) {
        Err(_) => Some(String::from("there is no zram0")),
        Ok(size) if size.trim() != "0" => Some(String::from("zram0 is in use by another program")),
        Ok(_) if machine::memory_available() < bytes + MEMORY_RESERVE => {
            Some(format!("too little memory is free for {} in zram0", size::show(bytes)))
        }
        Ok(_) => None,
    }
}

/// The device that is made next when one is asked for.
fn zram_to_add() -> Option<PathBuf> {
    let next = (1..9).map(|number| PathBuf::from(format!("/dev/zram{number}"))).find(|next| !next.exists());
    next.filter(|_| Path::new(ZRAM_CONTROL).exists())
}

/// Where a setting of a zram device is.
fn zram(device: &Path, setting: &str) -> PathBuf {
    Path::new(ZRAM_SETTINGS).join(device.file_name().unwrap_or_default()).join(setting)
}

fn set_zram(device: &Path, setting: &str, value: &str) -> Result<()> {
    let path = zram(device, setting);
    fs::write(&path, value).with_context(|| format!("cannot write {value} to {}", path.display()))
}

fn file_for(bytes: usize, name: &str) -> Result<PathBuf> {
    let folders = ["/var/tmp", "/var", "/"].map(Path::new);
    let mut why = Vec::new();
    for folder in folders {
        match folder_lacks(folder, bytes) {
            None => return Ok(folder.join(name)),
            Some(reason) => why.push(reason),
        }
    }
    why.dedup();
    bail!(why.join("; "))
}

fn folder_lacks(folder: &Path, bytes: usize) -> Option<String> {
    let name = folder.display();
    let fit = [statfs::EXT4_SUPER_MAGIC, statfs::XFS_SUPER_MAGIC];
    match (statfs::statfs(folder), statvfs(folder)) {
        (Ok(system), _) if !fit.contains(&system.filesystem_type()) => {
            Some(format!("{name} is on a file system that swap cannot lie in (ext4 and xfs can)"))
        }
        (Ok(_), Ok(room)) => {
            let free = room.blocks_available().saturating_mul(room.fragment_size());
            let enough = free > (bytes + MEMORY_RESERVE) as u64;
            (!enough).then(|| format!("{name} has less than {} free", size::show(bytes + MEMORY_RESERVE)))
        }
        _ => Some(format!("{name} cannot be looked at")),
    }
}

/// Only root may read what others' memory was.
fn create(path: &Path) -> Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).with_context(|| format!("cannot make {}", path.display()))
}

fn reserve(path: &Path, bytes: usize) -> Result<()> {
    let file = create(path)?;
    let length = i64::try_from(bytes)?;
    let reserved = nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, length);
    if reserved.is_err() { fill(path, bytes) } else { Ok(()) }
}

fn fill(path: &Path, bytes: usize) -> Result<()> {
    let zeros = vec![0; MIB];
    let mut file = create(path)?;
    for _ in 0..bytes.div_ceil(MIB) {
        file.write_all(&zeros).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(file.sync_all()?)
}

fn administer(name: &str, operand: &Path) -> Result<()> {
    let program = find_program(name).with_context(|| format!("there is no {name}"))?;
    let ran = run(Command::new(program).arg(operand), COMMAND_LIMIT)?;
    ensure!(ran.status == 0, "{name} {}: {}", operand.display(), ran.stderr.trim());
    Ok(())
}
