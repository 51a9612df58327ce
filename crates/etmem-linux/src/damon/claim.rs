//! DAMON for this program: taken only if no other program has it, distinguished from other programs' settings, and given back.
//!
//! Two signs show whose DAMON's settings are. The etmem that uses DAMON holds a lock on its folder, which ends with that
//! program, also when it is killed. And every context of ours has an update interval that no one would choose,
//! [`MARK`], or its scheme an interval of watermarks that is the same number; a kdamond of its own, which never runs, has one from the first moment to the last. So settings that are
//! all marked while the lock is free were left by an etmem that is dead: they are taken back. All
//! others are another program's, and stay as they are, even when nothing runs.
//!
//! A context is made and marked by two writes, and a kill may come between them. An empty one next to the sign is
//! therefore ours, too. Before there is a sign, only the number of kdamonds is known: then a file must say that an etmem
//! was about to set DAMON ([`take_back_left`]).

use super::files::{Folder, IN_USE, patiently};
use crate::sys::folder_lock;
use etmem_core::kernel::process::ProcessError;
use parking_lot::Mutex;
use std::fs::File;
use std::io;

/// The update interval of our contexts, in microseconds: `etmem` as a number, some five days. It has no effect, as no
/// mapping is followed by DAMON itself.
pub(crate) const MARK: u64 = 0x65_74_6d_65_6d;

/// Where a context bears the mark whose update interval is not ours to choose: the interval of watermarks has no effect, as
/// our schemes have none.
const SCHEME_MARK: &str = "schemes/0/watermarks";
const SCHEME_MARK_FILE: &str = "interval_us";

/// The kdamond that only bears the mark, and the number of those after it, which watch processes.
const SIGN: usize = 0;
pub(super) const WATCHING: usize = 32;
const ALL: usize = SIGN + 1 + WATCHING;

/// The reason when none of them is free.
pub(super) const ALL_IN_USE: &str =
    "all of etmem's kdamonds are in use; have fewer engines damon, or fewer processes with tracker=damon";

/// Whose DAMON's settings are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nothing is set.
    Free,
    /// All of it bears our mark, or has nothing in it yet.
    Ours,
    /// As many kdamonds as ours, and nothing in any: what an etmem leaves that is killed before it can set a sign. In words
    /// like another program's, as only a file can say whose it is.
    Unsigned(String),
    /// Another program's: what is set, in words.
    Other(String),
}

impl Owner {
    /// Looks at `kdamonds`, and changes nothing.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn look(kdamonds: &Folder) -> io::Result<Self> {
        let count = kdamonds.number("nr_kdamonds")?;
        if count == 0 {
            return Ok(Self::Free);
        }
        let (mut marked, mut empty, mut others, mut running) = (Vec::new(), Vec::new(), 0, 0);
        for number in 0..count {
            let kdamond = kdamonds.folder(number);
            let contexts = kdamond.folder("contexts");
            let runs = kdamond.read("state")? == "on";
            running += u64::from(runs);
            let mut is_marked = true;
            for context in 0..contexts.number("nr_contexts")? {
                let context = contexts.folder(context);
                is_marked &= is_marked_context(&context)?;
                match is_marked {
                    true => marked.push(number),
                    false if !runs && is_empty(&context) => empty.push(number),
                    false => others += 1,
                }
            }
        }
        let (sign, all) = (SIGN as u64, count == ALL as u64);
        if others == 0 && !marked.is_empty() && (empty.is_empty() || all && marked.contains(&sign)) {
            return Ok(Self::Ours);
        }
        let described = format!(
            "{}: {count} kdamonds are set up, {running} of them run; end that program or, if no program needs them, write 0 to \
             nr_kdamonds there",
            kdamonds.path().display()
        );
        // The sign comes first of all.
        let is_unsigned = all && others + running == 0 && marked.is_empty() && matches!(empty[..], [] | [0]);
        Ok(if is_unsigned { Self::Unsigned(described) } else { Self::Other(described) })
    }
}

/// Whether a context bears our mark: the probe's where no mapping is followed by DAMON itself, or the engine's, of which the
/// update interval is the user's.
fn is_marked_context(context: &Folder) -> io::Result<bool> {
    let of_scheme = || context.folder(SCHEME_MARK).number(SCHEME_MARK_FILE).is_ok_and(|value| value == MARK);
    Ok(context.folder("monitoring_attrs/intervals").number("update_us")? == MARK || of_scheme())
}

/// Whether a context is as the kernel makes it, for all that matters: it watches no process.
fn is_empty(context: &Folder) -> bool {
    let none = |folder: &str, file: &str| context.folder(folder).number(file).is_ok_and(|count| count == 0);
    none("targets", "nr_targets") && none("schemes", "nr_schemes")
}

/// The lock on DAMON's folder; `None` if another etmem has it, for longer than a look takes.
///
/// # Errors
/// What open(2) or flock(2) answers.
pub(crate) fn lock(kdamonds: &Folder) -> io::Result<Option<File>> {
    let taken = || io::Error::from(io::ErrorKind::ResourceBusy);
    let locked = patiently(|| folder_lock::try_take(kdamonds.path())?.ok_or_else(taken));
    match locked {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
        locked => locked.map(Some),
    }
}

/// Takes back what an etmem that is dead has left; whether there was anything. `written_down`: a file says that one
/// was about to set DAMON, so what bears no sign yet is its own.
///
/// # Errors
/// What the kernel refuses.
pub(crate) fn take_back_left(kdamonds: &Folder, written_down: bool) -> Result<bool, ProcessError> {
    let failed = |error: io::Error| ProcessError::refused(kdamonds.path().display(), error);
    // Most often there is nothing, and then it is not even locked.
    if kdamonds.number("nr_kdamonds").map_err(failed)? == 0 {
        return Ok(false);
    }
    // An etmem that runs has it, and has taken back what others left.
    let Some(_lock) = lock(kdamonds).map_err(failed)? else { return Ok(false) };
    let is_ours = match Owner::look(kdamonds).map_err(failed)? {
        Owner::Ours => true,
        Owner::Unsigned(_) => written_down,
        Owner::Free | Owner::Other(_) => false,
    };
    if is_ours {
        take_back(kdamonds)?;
    }
    Ok(is_ours)
}

/// DAMON, held for this program until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    kdamonds: Folder,
    free: Mutex<Vec<usize>>,
    /// Dropped last: until then no other etmem is allowed to look at what is set.
    _lock: File,
}

impl Claim {
    /// Takes it.
    ///
    /// # Errors
    /// Another program has it, or what the kernel refuses.
    pub(crate) fn take(kdamonds: &Folder) -> Result<Self, ProcessError> {
        let failed = |error: io::Error| ProcessError::refused(kdamonds.path().display(), error);
        let taken = || io::Error::other(format!("{IN_USE}: another etmemd, or one with its scan library"));
        let lock = lock(kdamonds).and_then(|lock| lock.ok_or_else(taken)).map_err(failed)?;
        match Owner::look(kdamonds).map_err(failed)? {
            Owner::Free => {}
            Owner::Ours => {
                tracing::warn!("DAMON: what an etmem that was killed had set is taken back");
                take_back(kdamonds)?;
            }
            Owner::Unsigned(what) | Owner::Other(what) => {
                return Err(ProcessError::refused(IN_USE, what));
            }
        }
        kdamonds.write("nr_kdamonds", ALL)?;
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

    /// A kdamond that watches no process, with a marked context, and its number to give back; `None` if all are in use.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(crate) fn kdamond(&self) -> Result<Option<(usize, Folder)>, ProcessError> {
        let Some(number) = self.free.lock().pop() else { return Ok(None) };
        match self.mark(number) {
            Ok(_) => Ok(Some((number, self.kdamonds.folder(number)))),
            Err(error) => {
                self.free.lock().push(number);
                Err(error)
            }
        }
    }

    /// Moves the mark of `context`, which has one scheme, to where it leaves the update interval alone.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub(crate) fn mark_scheme(context: &Folder) -> Result<(), ProcessError> {
        context.folder(SCHEME_MARK).write(SCHEME_MARK_FILE, MARK)
    }

    /// Takes back the kdamond `number`, which is stopped.
    pub(crate) fn give_back(&self, number: usize) {
        let folder = self.kdamonds.folder(number);
        stop(&folder);
        if let Err(error) = folder.folder("contexts").write("nr_contexts", 0) {
            tracing::debug!("DAMON: {error}");
        }
        self.free.lock().push(number);
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
pub(crate) fn stop(kdamond: &Folder) {
    if kdamond.read("state").is_ok_and(|state| state == "on")
        && let Err(error) = kdamond.try_write("state", "off")
    {
        // It may have ended meanwhile, with its process.
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

    /// The update interval of a context that was made and no more.
    const GIVEN: u64 = 60_000_000;
    const CHOSEN: u64 = 1_000_000;

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
                let context = kdamond.join(format!("contexts/{context}"));
                // A program that left it at what the kernel gives has come no further.
                let count = usize::from(*interval != GIVEN);
                write(&context.join("targets"), "nr_targets", count);
                write(&context.join("schemes"), "nr_schemes", count);
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
        assert_eq!(owner(&[]), Owner::Free);
        assert_eq!(owner(&[&[MARK], &[], &[MARK]]), Owner::Ours);
        for other in [
            &[&[][..]][..],
            &[&[GIVEN]],
            &[&[MARK], &[GIVEN]],
            &[&[MARK], &[CHOSEN]],
            &[&[MARK, 1], &[]],
            &[&[], &[]],
        ] {
            let Owner::Other(what) = owner(other) else { panic!("{other:?} is not ours") };
            assert!(what.contains("nr_kdamonds") && what.contains("0 of them run"), "{what}");
        }
        let (tree, folder) = kdamonds(&[&[MARK]]);
        fs::write(tree.path().join("0/contexts/nr_contexts"), "x").unwrap();
        assert!(Owner::look(&folder).unwrap_err().to_string().contains("not a number"));
    }

    /// All of ours, some of them as the list says.
    fn all(set: &[(usize, &'static [u64])]) -> (tempfile::TempDir, Folder) {
        let mut kdamonds: Vec<&[u64]> = vec![&[]; ALL];
        set.iter().for_each(|(number, contexts)| kdamonds[*number] = contexts);
        self::kdamonds(&kdamonds)
    }

    #[test]
    fn what_a_kill_between_two_writes_leaves() {
        let owner = |set: &[(usize, &'static [u64])]| Owner::look(&all(set).1).unwrap();
        // Made and not marked, next to the sign.
        assert_eq!(owner(&[(SIGN, &[MARK]), (1, &[MARK]), (2, &[GIVEN]), (32, &[GIVEN])]), Owner::Ours);
        assert!(matches!(owner(&[(SIGN, &[MARK]), (2, &[CHOSEN])]), Owner::Other(_)));
        assert!(matches!(owner(&[(1, &[MARK]), (2, &[GIVEN])]), Owner::Other(_)), "without the sign");
        // Before there is one.
        let sets: [&[(usize, &[u64])]; 2] = [&[], &[(SIGN, &[GIVEN])]];
        for set in sets {
            assert!(matches!(owner(set), Owner::Unsigned(_)), "{set:?}");
            let (tree, folder) = all(set);
            let count = || fs::read_to_string(tree.path().join("nr_kdamonds")).unwrap();
            assert!(Claim::take(&folder).unwrap_err().to_string().starts_with("DAMON is in use"));
            assert_eq!(take_back_left(&folder, false), Ok(false));
            assert_eq!(count(), "33\n", "anybody may have made them");
            assert_eq!(take_back_left(&folder, true), Ok(true));
            assert_eq!(count(), "0");
            assert_eq!(take_back_left(&folder, true), Ok(false), "nothing is left");
        }
        let sets: [&[(usize, &[u64])]; 4] = [
            &[(1, &[GIVEN])],
            &[(SIGN, &[CHOSEN])],
            &[(SIGN, &[GIVEN, GIVEN])],
            &[(SIGN, &[GIVEN]), (1, &[GIVEN])],
        ];
        for set in sets {
            let (tree, folder) = all(set);
            assert!(matches!(Owner::look(&folder).unwrap(), Owner::Other(_)), "{set:?}");
            assert_eq!(take_back_left(&folder, true), Ok(false));
            assert_eq!(fs::read_to_string(tree.path().join("nr_kdamonds")).unwrap(), "33\n");
        }
        let (tree, folder) = all(&[]);
        write(&tree.path().join("7"), "state", "on");
        assert_eq!(take_back_left(&folder, true), Ok(false), "ours do not run without a sign");
        let (_tree, folder) = kdamonds(&[&[], &[]]);
        assert_eq!(take_back_left(&folder, true), Ok(false), "ours are more");
    }

    #[test]
    fn what_a_living_one_has_is_not_left() {
        let (tree, folder) = all(&[(SIGN, &[MARK])]);
        let held = folder_lock::try_take(tree.path()).unwrap();
        assert_eq!(take_back_left(&folder, true), Ok(false));
        drop(held);
        assert_eq!(take_back_left(&folder, false), Ok(true), "by its sign alone");
    }

    /// The kernel makes folders when a number is written; files alone do not, so what is needed is there already.
    #[test]
    fn what_was_left_behind_is_taken_over_and_what_is_others_is_not() {
        let set: Vec<&[u64]> = vec![&[MARK]; ALL];
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

        let (tree, folder) = kdamonds(&[&[CHOSEN]]);
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
