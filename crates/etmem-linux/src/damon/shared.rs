//! The machine's DAMON, which all tasks of a program share: who has it, and taking it.

use super::claim::{self, Claim, Owner};
use super::files::{CAPABILITIES, Folder};
use crate::root::SysRoot;
use crate::unavailable::Unavailable;
use etmem_core::kernel::process::ProcessError;
use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, Weak};

/// Takes back what an etmem that was killed has left set in the DAMON of the machine whose sysfs is at `sys`; whether there was
/// anything. `written_down`: it is known that one was about to set it, so that what does not bear its mark yet is its own,
/// too, if it looks so.
///
/// # Errors
/// What the kernel refuses.
pub(crate) fn take_back_left(sys: &SysRoot, written_down: bool) -> Result<bool, ProcessError> {
    let kdamonds = Folder::new(sys.damon().join("kdamonds"));
    if !kdamonds.path().join("nr_kdamonds").exists() {
        return Ok(false);
    }
    claim::take_back_left(&kdamonds, written_down)
}

/// The machine's DAMON, for all tasks of a program.
#[derive(Debug)]
pub struct SharedDamon {
    kdamonds: Folder,
    /// Ours while any task watches.
    claim: Mutex<Weak<Claim>>,
}

/// Who has DAMON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// No program.
    Free,
    /// An etmemd, or a program with its scan library.
    Etmem,
    /// No program, but one of these was killed and has left its settings, which the next one takes back.
    LeftBehind,
    /// Another program: what is set, in words.
    Other(String),
}

impl SharedDamon {
    /// That of the machine whose sysfs is at `sys`; it is not looked at yet.
    #[must_use]
    pub fn new(sys: &SysRoot) -> Self {
        Self { kdamonds: Folder::new(sys.damon().join("kdamonds")), claim: Mutex::default() }
    }

    /// Whether it can be had; nothing is changed.
    ///
    /// # Errors
    /// Why not, and what would help.
    pub(crate) fn detect(&self) -> Result<(), Unavailable> {
        let path = self.kdamonds.path();
        if !path.join("nr_kdamonds").exists() {
            return Err(Unavailable::NotBuilt { path: path.to_owned(), option: "CONFIG_DAMON_SYSFS" });
        }
        if self.claim.lock().strong_count() > 0 {
            return Ok(());
        }
        let refused = |error| {
            let call = path.display().to_string();
            Unavailable::from_io(call, &error, CAPABILITIES)
        };
        let taken = |by| Err(Unavailable::Taken { what: "DAMON", by });
        match self.holder().map_err(refused)? {
            Holder::Free | Holder::LeftBehind => Ok(()),
            Holder::Etmem => taken("another etmemd, or a program with its scan library".to_owned()),
            Holder::Other(what) => taken(what),
        }
    }

    /// Who has it, this program among others; nothing is changed.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn holder(&self) -> io::Result<Holder> {
        Ok(match Owner::look(&self.kdamonds)? {
            Owner::Free => Holder::Free,
            Owner::Unsigned(what) | Owner::Other(what) => Holder::Other(what),
            Owner::Ours => match claim::lock(&self.kdamonds)? {
                Some(_) => Holder::LeftBehind,
                None => Holder::Etmem,
            },
        })
    }

    /// Takes DAMON for this program.
    ///
    /// # Errors
    /// Another program has it, or what the kernel refuses.
    pub(crate) fn claim(&self) -> Result<Arc<Claim>, ProcessError> {
        let mut claim = self.claim.lock();
        if let Some(claim) = claim.upgrade() {
            return Ok(claim);
        }
        let taken = Arc::new(Claim::take(&self.kdamonds)?);
        *claim = Arc::downgrade(&taken);
        Ok(taken)
    }
}
