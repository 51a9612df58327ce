//! Swap for as long as a guard lives.
//!
//! The guard holds a lock, so that runs do not take one another's swap away or fill it; the second waits.

use std::fs::{self, File, OpenOptions};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::setup::Setup;
use super::{area, leftover};
use crate::clock::WallClock;
use crate::size;
use crate::undo::Undo;

const LOCK: &str = "/run/lock/etmem-test-swap.lock";
/// Longer than the longest test suite holds it.
const LOCK_LIMIT: Duration = Duration::from_secs(600);

/// Why there cannot be this much swap on this machine; nothing if there can.
pub fn lacks(bytes: usize) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some(String::from("only root can set up swap: run it with sudo"));
    }
    let ours = leftover::find().ok().flatten().is_some();
    // What a run of ours holds now comes free with the lock.
    if area::free() >= bytes || ours {
        return None;
    }
    Setup::choose(bytes).err().map(|error| error.to_string())
}

/// Waits until no other run of ours uses swap, and keeps others from it.
///
/// # Errors
/// The lock cannot be made, or stays taken for too long.
pub fn lock() -> Result<SwapLock> {
    fs::create_dir_all("/run/lock")?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(LOCK);
    let mut file = Some(file.with_context(|| format!("cannot open {LOCK}"))?);
    let mut held = None;
    WallClock::new().wait_until(LOCK_LIMIT, &format!("{LOCK} comes free"), || {
        if let Some(open) = file.take() {
            match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => held = Some(lock),
                Err((open, Errno::EWOULDBLOCK)) => file = Some(open),
                Err((_, error)) => return Err(anyhow!(error).context(format!("cannot lock {LOCK}"))),
            }
        }
        Ok(held.is_some())
    })?;
    if let Some(setup) = leftover::find()? {
        // A run was killed before it could do this itself.
        setup.undo()?;
        leftover::forget();
    }
    Ok(SwapLock(held.with_context(|| format!("{LOCK} was not taken"))?))
}

/// While it lives, no other run of ours touches the machine's swap.
#[derive(Debug)]
pub struct SwapLock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

/// While it lives, there is as much swap as was asked for.
#[derive(Debug)]
pub struct SwapGuard {
    described: String,
    // In this order: the swap goes before the lock does.
    _undo: Option<Undo>,
    _lock: SwapLock,
}

impl SwapGuard {
    /// Makes sure there are `bytes` of free swap.
    ///
    /// # Errors
    /// There are not and they cannot be made; the message says why for each way there is.
    pub fn acquire(bytes: usize) -> Result<Self> {
        let lock = lock()?;
        let free = area::free();
        if free >= bytes {
            let described = format!("{} free in the machine's own swap", size::show(free));
            return Ok(Self { described, _undo: None, _lock: lock });
        }
        let setup = Setup::choose(bytes)?;
        let described = format!("{} in {}, set up for this run", size::show(bytes), setup.path().display());
        leftover::remember(&setup)?;
        let held = setup.clone();
        let undo = Undo::with(move || match held.undo() {
            Ok(()) => leftover::forget(),
            Err(error) => eprintln!("swap stays until the next run: {error:#}"),
        });
        setup.make(bytes)?;
        Ok(Self { described, _undo: Some(undo), _lock: lock })
    }

    /// What swap it is, for people.
    pub fn describe(&self) -> &str {
        &self.described
    }
}
