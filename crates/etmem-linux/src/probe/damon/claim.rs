//! DAMON for ourselves: taken only where nobody has it, told from what others set, and given back.
//!
//! Two signs tell whose DAMON's settings are. A lock on DAMON's folder is held by whoever of ours uses it, and ends with that
//! program, also when it is killed. And every context of ours has an update interval that nobody would choose,
//! [`MARK`]; a kdamond of its own, which never runs, has one from the first moment to the last. So settings that are
//! all marked while nobody holds the lock were left behind by one of ours that is dead: they are taken back. All
//! others are somebody else's, and stay as they are, even when nothing runs.

use super::files::{Folder, IN_USE};
use crate::sys::folder_lock::FolderLock;
use etmem_core::kernel::process::ProcessError;
use std::io;
use std::sync::{Mutex, PoisonError};

/// The update interval of our contexts, in microseconds: `etmem` as a number, some five days. It has no effect, as no
/// mapping is followed by DAMON itself.
pub(super) const MARK: u64 = 0x65_74_6d_65_6d;

/// The kdamond that only bears the mark, and the number of those that watch processes behind it.
const SIGN: usize = 0;
const WATCHING: usize = 32;

/// Whose DAMON's settings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nothing is set.
    Nobody,
    /// All of it bears our mark.
    Ours,
    /// Somebody else's: what is set, in words.
    Other(String),
}

impl Owner {
    /// Looks at `kdamonds`, and changes nothing.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn look(kdamonds: &Folder) -> io::Result<Self> {
        let count = kdamonds.number("nr_kdamonds")?;
        if count == 0 {
            return Ok(Self::Nobody);
        }
        let (mut marked, mut others, mut running) = (0, 0, 0);
        for number in 0..count {
            let kdamond = kdamonds.folder(number);
            let contexts = kdamond.folder("contexts");
            let mut is_marked = true;
            for context in 0..contexts.number("nr_contexts")? {
                let intervals = contexts.folder(context).folder("monitoring_attrs/intervals");
                is_marked &= intervals.number("update_us")? == MARK;
                *if is_marked { &mut marked } else { &mut others } += 1;
            }
            running += u64::from(kdamond.read("state")? == "on");
        }
        if others == 0 && marked > 0 {
            return Ok(Self::Ours);
        }
        Ok(Self::Other(format!(
            "{}: {count} kdamonds are set up, {running} of them run; end that program, or, if nobody needs them, write 0 to \
             nr_kdamonds there",
            kdamonds.path().display()
        )))
    }
}

/// DAMON, held for ourselves until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    kdamonds: Folder,
    free: Mutex<Vec<usize>>,
    /// The last to go: until then nobody of ours may look at what is set.
    _lock: FolderLock,
}

impl Claim {
    /// Takes it.
    ///
    /// # Errors
    /// That somebody else has it, or what the kernel refuses.
    pub(super) fn take(kdamonds: &Folder) -> Result<Self, ProcessError> {
        let call = || kdamonds.path().display().to_string();
        let failed = |error: io::Error| ProcessError::Refused { call: call(), reason: error.to_string() };
        let lock = FolderLock::try_take(kdamonds.path()).map_err(failed)?;
        let lock = lock.ok_or_else(|| ProcessError::Refused {
            call: call(),
            reason: format!("{IN_USE}: another etmemd, or one with its scan library"),
        })?;
        match Owner::look(kdamonds).map_err(failed)? {
            Owner::Nobody => {}
            Owner::Ours => {
                tracing::warn!("DAMON: what an etmem that was killed had set is taken back");
                take_back(kdamonds)?;
            }
            Owner::Other(what) => {
                return Err(ProcessError::Refused { call: IN_USE.into(), reason: what });
            }
        }
        kdamonds.write("nr_kdamonds", SIGN + 1 + WATCHING)?;
        let claim = Self {
            kdamonds: kdamonds.clone(),
            free: Mutex::new((SIGN + 1..=SIGN + WATCHING).rev().collect()),
            _lock: lock,
        };
        claim.mark(SIGN)?;
        Ok(claim)
    }

    /// Gives the kdamond `number` a context that bears the mark; its folder.
    fn mark(&self, number: usize) -> Result<Folder, ProcessError> {
        let contexts = self.kdamonds.folder(number).folder("contexts");
        contexts.write("nr_contexts", 1)?;
        let context = contexts.folder(0);
        context.folder("monitoring_attrs/intervals").write("update_us", MARK)?;
        Ok(context)
    }

    /// A kdamond that watches nobody, with a marked context, and its number to give back; none where all are at work.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(super) fn kdamond(&self) -> Result<Option<(usize, Folder)>, ProcessError> {
        let Some(number) = self.free().pop() else { return Ok(None) };
        match self.mark(number) {
            Ok(_) => Ok(Some((number, self.kdamonds.folder(number)))),
            Err(error) => {
                self.free().push(number);
                Err(error)
            }
        }
    }

    /// Takes back the kdamond `number`, which is stopped.
    pub(super) fn give_back(&self, number: usize) {
        let folder = self.kdamonds.folder(number);
        stop(&folder);
        if let Err(error) = folder.folder("contexts").write("nr_contexts", 0) {
            tracing::debug!("DAMON: {error}");
        }
        self.free().push(number);
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = take_back(&self.kdamonds) {
            tracing::warn!("DAMON is not given back: {error}");
        }
    }
}

/// Stops `kdamond`, where it runs.
pub(super) fn stop(kdamond: &Folder) {
    if kdamond.read("state").is_ok_and(|state| state == "on")
        && let Err(error) = kdamond.try_write("state", "off")
    {
        // It may have ended by itself meanwhile: its process is gone.
        tracing::debug!("DAMON: {}: writing off: {error}", kdamond.path().display());
    }
}

/// Stops what runs and removes what is set; all of it must be ours.
fn take_back(kdamonds: &Folder) -> Result<(), ProcessError> {
    for number in 0..kdamonds.number("nr_kdamonds").unwrap_or(0) {
        stop(&kdamonds.folder(number));
    }
    kdamonds.write("nr_kdamonds", 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// DAMON's files as a program left them: for each kdamond the update intervals of its contexts.
    fn kdamonds(set: &[&[u64]]) -> (tempfile::TempDir, Folder) {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), "nr_kdamonds", set.len());
        for (number, contexts) in set.iter().enumerate() {
            let kdamond = tree.path().join(number.to_string());
            write(&kdamond, "state", "off");
            write(&kdamond.join("contexts"), "nr_contexts", contexts.len());
            for (context, interval) in contexts.iter().enumerate() {
                let folder = kdamond.join(format!("contexts/{context}/monitoring_attrs/intervals"));
                write(&folder, "update_us", interval);
            }
        }
        let folder = Folder::new(tree.path().to_owned());
        (tree, folder)
    }

    fn write(folder: &Path, file: &str, value: impl ToString) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(file), format!("{}\n", value.to_string())).unwrap();
    }

    #[test]
    fn whose_it_is() {
        let owner = |set: &[&[u64]]| Owner::look(&kdamonds(set).1).unwrap();
        assert_eq!(owner(&[]), Owner::Nobody);
        assert_eq!(owner(&[&[MARK], &[], &[MARK]]), Owner::Ours);
        for other in
            [&[&[][..]][..], &[&[60_000_000]], &[&[MARK], &[60_000_000]], &[&[MARK, 1], &[]], &[&[], &[]]]
        {
            let Owner::Other(what) = owner(other) else { panic!("{other:?} is not ours") };
            assert!(what.contains("nr_kdamonds") && what.contains("0 of them run"), "{what}");
        }
        let (tree, folder) = kdamonds(&[&[MARK]]);
        fs::write(tree.path().join("0/contexts/nr_contexts"), "x").unwrap();
        assert!(Owner::look(&folder).unwrap_err().to_string().contains("not a number"));
    }

    /// The kernel makes folders when a number is written; files alone do not, so what is needed is there already.
    #[test]
    fn what_was_left_behind_is_taken_over_and_what_is_others_is_not() {
        let set: Vec<&[u64]> = vec![&[MARK]; SIGN + 1 + WATCHING];
        let (tree, folder) = kdamonds(&set);
        write(&tree.path().join("3"), "state", "on");
        let claim = Claim::take(&folder).unwrap();
        let read = |file: &str| fs::read_to_string(tree.path().join(file)).unwrap();
        assert_eq!(read("3/state"), "off", "what ran is stopped");
        assert_eq!(read("nr_kdamonds"), "33");
        let busy = Claim::take(&folder).unwrap_err().to_string();
        assert!(busy.contains("DAMON is in use by another program: another etmemd"), "{busy}");
        let mut taken = Vec::new();
        while let Some((number, kdamond)) = claim.kdamond().unwrap() {
            assert_eq!(kdamond.path(), tree.path().join(number.to_string()));
            taken.push(number);
        }
        assert_eq!(taken, (1..=WATCHING).collect::<Vec<_>>());
        claim.give_back(5);
        assert_eq!(read("5/contexts/nr_contexts"), "0");
        assert_eq!(claim.kdamond().unwrap().unwrap().0, 5);
        drop(claim);
        assert_eq!(read("nr_kdamonds"), "0");

        let (tree, folder) = kdamonds(&[&[60_000_000]]);
        let refused = Claim::take(&folder).unwrap_err().to_string();
        assert!(refused.starts_with("DAMON is in use by another program: "), "{refused}");
        assert_eq!(fs::read_to_string(tree.path().join("nr_kdamonds")).unwrap(), "1\n");
    }

    #[test]
    fn refusals_say_what_would_help() {
        let (_tree, folder) = kdamonds(&[]);
        for (number, help) in [
            (libc::EBUSY, "DAMON is in use by another program"),
            (libc::ENOENT, "another program has changed"),
            (libc::EROFS, "ProtectKernelTunables=no"),
            (libc::EACCES, "root"),
            (libc::EINVAL, "Invalid argument"),
        ] {
            let text = folder.refused("nr_kdamonds", 1, &io::Error::from_raw_os_error(number)).to_string();
            assert!(text.contains("nr_kdamonds: writing 1: ") && text.contains(help), "{text}");
        }
    }
}
