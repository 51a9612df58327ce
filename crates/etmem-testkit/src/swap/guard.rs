//! Swap for as long as a guard lives.
//!
//! The guard holds a lock, so that runs do not take one another's swap away or fill it; the second waits.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
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
    let ours = leftover::find().is_ok_and(|ours| !ours.is_empty());
    // What a run of ours holds now comes free with the lock.
    if area::free() >= bytes || ours {
        return None;
    }
    Setup::choose(bytes).err().map(|error| error.to_string())
}

/// Why the machine cannot have just this much swap, to which more is added later; nothing if it can.
pub fn lacks_alone(bytes: usize, more: usize) -> Option<String> {
    let foreign = foreign();
    if !foreign.is_empty() {
        return Some(format!(
            "the machine has swap ({}), and this needs {} and no more",
            foreign.join(", "),
            size::show(bytes)
        ));
    }
    lacks(bytes).or_else(|| Setup::more(more).err().map(|error| error.to_string()))
}

/// The swap areas that no run of ours has set up.
pub fn foreign() -> Vec<String> {
    let ours = leftover::find().unwrap_or_default();
    let is_ours = |area: &area::Area| ours.iter().any(|ours| ours.path() == Path::new(&area.path));
    let areas = area::areas().unwrap_or_default().into_iter();
    areas.filter(|area| !is_ours(area)).map(|area| area.path).collect()
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
    for setup in leftover::find()?.into_iter().rev() {
        // A run was killed before it could do this itself.
        setup.undo()?;
        leftover::forget(&setup);
    }
    Ok(SwapLock(held.with_context(|| format!("{LOCK} was not taken"))?))
}

/// While it lives, no other run of ours touches the machine's swap.
#[derive(Debug)]
pub struct SwapLock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

/// Makes `setup`, written down first.
fn make(setup: Setup, bytes: usize) -> Result<Undo> {
    leftover::remember(&setup)?;
    let held = setup.clone();
    let undo = Undo::with(move || match held.undo() {
        Ok(()) => leftover::forget(&held),
        Err(error) => eprintln!("swap stays until the next run: {error:#}"),
    });
    setup.make(bytes)?;
    Ok(undo)
}

/// While it lives, there is as much swap as was asked for.
#[derive(Debug)]
pub struct SwapGuard {
    described: String,
    // In this order: the swap goes before the lock does.
    more: Vec<Undo>,
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
            return Ok(Self { described, more: Vec::new(), _undo: None, _lock: lock });
        }
        Self::set_up(bytes, lock)
    }

    /// Makes sure there are `bytes` of swap and no more.
    ///
    /// # Errors
    /// There is some already, or none can be made.
    pub fn acquire_alone(bytes: usize) -> Result<Self> {
        let lock = lock()?;
        let foreign = foreign();
        ensure!(foreign.is_empty(), "the machine has swap: {}", foreign.join(", "));
        Self::set_up(bytes, lock)
    }

    fn set_up(bytes: usize, lock: SwapLock) -> Result<Self> {
        let setup = Setup::choose(bytes)?;
        let described = format!("{} in {}, set up for this run", size::show(bytes), setup.path().display());
        Ok(Self { described, more: Vec::new(), _undo: Some(make(setup, bytes)?), _lock: lock })
    }

    /// Adds `bytes` of swap, which go with the rest: where they are.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn grow(&mut self, bytes: usize) -> Result<String> {
        let setup = Setup::more(bytes)?;
        let described = format!("{} in {}", size::show(bytes), setup.path().display());
        self.more.push(make(setup, bytes)?);
        Ok(described)
    }

    /// What swap it is, for people.
    pub fn describe(&self) -> &str {
        &self.described
    }
}
