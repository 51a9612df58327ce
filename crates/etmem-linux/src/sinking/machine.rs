//! The compressed swap of a machine, with a journal of what is set in it.

use super::device::{WRITEBACK, ZramFiles, is_zram};
use super::limit::ZramLimit;
use super::pass::Pass;
use super::slots::{self, Slot};
use crate::figures::swap_devices;
use crate::lasting::{Setting, SettingJournal};
use crate::pacer::SystemPacer;
use crate::root::Roots;
use crate::small_file;
use etmem_core::kernel::process::ProcessError;
use etmem_core::kernel::sinking::{CompressedDevice, OldSlots, SinkPass, SinkRefusal, Sinking};
use etmem_core::oldest::AgeCount;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The compressed swap of the machine whose file systems are mounted at `roots`.
#[derive(Debug, Clone)]
pub struct MachineSinking {
    roots: Roots,
    journal: Arc<dyn SettingJournal>,
}

impl MachineSinking {
    /// That of the machine at `roots`; what is set there is written to `journal` first.
    #[must_use]
    pub fn new(roots: Roots, journal: Arc<dyn SettingJournal>) -> Self {
        Self { roots, journal }
    }

    fn files(&self, device: &str) -> ZramFiles {
        ZramFiles::new(&self.roots.sys, device)
    }

    /// The oldest, where the machine has run for `now`.
    fn oldest_at(
        &self,
        now: Duration,
        device: &str,
        age: Duration,
        most: usize,
    ) -> Result<OldSlots, SinkRefusal> {
        let path = self.files(device).block_state();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let Some(until) = now.checked_sub(age).map(micros) else { return Ok(OldSlots::default()) };
        // The first slot is the header of swap, and no program's.
        let is_old = |slot: &Slot| slot.number > 0 && !slot.same && !slot.on_disk && slot.touched <= until;
        let age_of = |slot: &Slot| micros(now).saturating_sub(slot.touched);
        let each = |see: &mut dyn FnMut(Slot)| {
            slots::each(&path, |slot| {
                if is_old(&slot) {
                    see(slot)
                }
            })
            .map_err(|error| {
                let is_gone = error.kind() == io::ErrorKind::NotFound && self.files(device).state().is_none();
                match error.raw_os_error() {
                    // What a device without a size answers.
                    Some(libc::EINVAL | libc::ENODEV) => SinkRefusal::Gone,
                    _ if is_gone => SinkRefusal::Gone,
                    _ => SinkRefusal::NoAges(format!("{}: {error}", path.display()).into()),
                }
            })
        };
        let mut count = AgeCount::default();
        each(&mut |slot| count.see(age_of(&slot)))?;
        if count.seen() == 0 {
            return Ok(OldSlots::default());
        }
        let (old_enough, oldest) = (count.seen(), Duration::from_micros(count.oldest()));
        let mut places = count.places(most);
        each(&mut |slot| places.put(slot.number, age_of(&slot)))?;
        Ok(OldSlots { slots: places.chosen(), oldest, old_enough })
    }
}

impl Sinking for MachineSinking {
    fn devices(&self) -> Result<Vec<CompressedDevice>, ProcessError> {
        let path = self.roots.proc.machine("swaps");
        let text = small_file::read(&path).map_err(|error| ProcessError::refused(path.display(), error))?;
        let text = String::from_utf8_lossy(&text);
        let names = swap_devices(&text).map(|device| device.name).filter(|name| is_zram(name));
        let mut devices: Vec<_> = names.filter_map(|name| self.files(name).state()).collect();
        devices.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(devices)
    }

    fn oldest(&self, device: &str, age: Duration, most: usize) -> Result<OldSlots, SinkRefusal> {
        self.oldest_at(SystemPacer::since_boot(), device, age, most)
    }

    fn begin(&self, device: &str, most: u64) -> Result<Box<dyn SinkPass>, SinkRefusal> {
        let files = self.files(device);
        let path = files.file(WRITEBACK);
        let refused = |error: io::Error| SinkRefusal::refused(path.display(), error);
        let open = || File::options().write(true).open(&path);
        let file = open().map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT) if files.state().is_some() => SinkRefusal::NotBuilt,
            Some(libc::ENOENT) => SinkRefusal::Gone,
            Some(libc::EROFS) => files.read_only(),
            _ => refused(error),
        })?;
        // One that was killed holds it no longer; one that runs, of this daemon or of another, writes now.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| SinkRefusal::Busy)?;
        let limit =
            ZramLimit::of(&files, most).map_err(|error| SinkRefusal::refused("writeback_limit", error))?;
        if limit.pages() == 0 {
            return Err(SinkRefusal::LimitReached);
        }
        let record = self.journal.record(&Setting::ZramLimit(limit.clone()));
        let record =
            record.map_err(|error| SinkRefusal::refused("writing down what writeback_limit was", error))?;
        let pass = Pass::new(files, Box::new(file), limit.clone(), record);
        limit.set().map_err(|error| SinkRefusal::refused("writeback_limit", error))?;
        Ok(Box::new(pass))
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::tree;
    use super::*;
    use crate::lasting::Kept;
    use crate::root::{ProcRoot, SysRoot};
    use parking_lot::Mutex;
    use std::fs;

    /// Keeps the lines that were written, and how many are there still.
    #[derive(Debug, Default)]
    struct Lines {
        written: Mutex<Vec<String>>,
        there: Arc<()>,
    }

    impl SettingJournal for Lines {
        fn record(&self, setting: &Setting) -> io::Result<Box<dyn Kept>> {
            self.written.lock().push(setting.line());
            Ok(Box::new(Arc::clone(&self.there)))
        }
    }

    fn machine() -> (tempfile::TempDir, ZramFiles, Arc<Lines>, MachineSinking) {
        let (tree, files) = tree();
        let swaps = "Filename Type Size Used Priority\n/dev/zram0 partition 4000 2400 100\n/dev/sda2 partition 9 0 -2\n";
        fs::write(tree.path().join("swaps"), swaps).unwrap();
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        let lines = Arc::new(Lines::default());
        let machine = MachineSinking::new(roots, lines.clone());
        (tree, files, lines, machine)
    }

    #[test]
    fn the_oldest_that_are_in_memory_come_first() {
        let (_tree, files, _, machine) = machine();
        let names =
            |devices: Vec<CompressedDevice>| devices.into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(names(machine.devices().unwrap()), ["zram0".into()]);
        let state = "0 1.000000 ......\n6 40.000000 ......\n1 10.000000 ......\n2 5.000000 .w....\n3 6.000000 s.....\n4 20.500000 ..h...\n5 99.000000 ......\n";
        fs::write(files.block_state(), state).unwrap();
        let at =
            |age, most| machine.oldest_at(Duration::from_secs(100), "zram0", Duration::from_secs(age), most);
        let all = at(0, 9).unwrap();
        assert_eq!((all.slots, all.oldest, all.old_enough), (vec![1, 4, 6, 5], Duration::from_secs(90), 4));
        assert_eq!(at(60, 9).unwrap().slots, [1, 4, 6]);
        let bounded = at(60, 2).unwrap();
        assert_eq!((bounded.slots, bounded.old_enough), (vec![1, 4], 3));
        assert_eq!(at(200, 9), Ok(OldSlots::default()), "older than the machine");
        assert!(matches!(machine.oldest("zram7", Duration::ZERO, 1), Err(SinkRefusal::Gone)));
        fs::remove_file(files.block_state()).unwrap();
        assert!(matches!(at(0, 9), Err(SinkRefusal::NoAges(_))));
    }

    #[test]
    fn a_limit_is_recorded_before_it_is_set_and_only_one_writes() {
        let (_tree, files, lines, machine) = machine();
        let pass = machine.begin("zram0", 40).unwrap();
        assert_eq!(
            (files.number("writeback_limit_enable", 0), files.number("writeback_limit", 0)),
            (Some(1), Some(40))
        );
        let written = lines.written.lock().clone();
        assert_eq!(written.len(), 1);
        assert!(written[0].starts_with("zram-writeback-limit zram0 0 0 40 /"), "{written:?}");
        assert_eq!(machine.begin("zram0", 40).map(drop), Err(SinkRefusal::Busy));
        assert_eq!(Arc::strong_count(&lines.there), 2);
        drop(pass);
        assert_eq!(Arc::strong_count(&lines.there), 1, "the record goes with it");
        assert_eq!(
            (files.number("writeback_limit_enable", 0), files.number("writeback_limit", 0)),
            (Some(0), Some(0))
        );
        // The next daemon, after one that was killed.
        let pass = machine.begin("zram0", 40).unwrap();
        std::mem::forget(pass);
        let line = lines.written.lock()[1].clone();
        assert!(Setting::of_line(&line).unwrap().take_back());
        assert_eq!(files.number("writeback_limit_enable", 0), Some(0));
        fs::write(files.file("writeback_limit_enable"), "1").unwrap();
        assert_eq!(machine.begin("zram7", 1).map(drop), Err(SinkRefusal::Gone));
    }
}
