//! Records of settings, and what a daemon takes back that finds them.

use super::*;
use etmem_linux::root::{ProcRoot, SysRoot};

fn names(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn locked_records_stay_and_others_are_taken_back() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("etmem");
    let (proc, sys) = (ProcRoot::new(top.path().join("proc")), SysRoot::new(top.path().join("sys")));
    let take_back = |folder: &Path| super::take_back(folder, &sys);
    take_back(&folder);
    let settings = [Setting::SwapCache(proc.clone()), Setting::Damon(sys.clone())];
    let records = settings.map(|setting| CleanupRecord::of(&folder, &setting).unwrap());
    take_back(&folder);
    assert_eq!(names(&folder), 2, "their daemon is running");
    fs::create_dir(folder.join("tasks")).unwrap();
    assert_eq!(left(&folder), 2, "what else is there is no record");
    fs::remove_dir(folder.join("tasks")).unwrap();
    // As a daemon that is killed leaves them: the lock is gone, the file is not.
    let left: Vec<_> =
        records.iter().map(|record| (record.path.clone(), fs::read(&record.path).unwrap())).collect();
    drop(records);
    assert_eq!(names(&folder), 0, "one that ends leaves nothing");
    left.iter().for_each(|(path, text)| fs::write(path, text).unwrap());
    take_back(&folder);
    assert_eq!((names(&folder), super::left(&folder)), (0, 0));
    let (path, _) = &left[0];
    for other in ["", "nonsense\n", "\u{0}"] {
        fs::write(path, other).unwrap();
        take_back(&folder);
        assert_eq!(fs::read_to_string(path).unwrap(), other, "not understood, and left");
    }
    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    take_back(&folder);
    assert!(path.symlink_metadata().is_ok());
}

#[test]
fn a_file_that_was_not_completely_written_is_removed() {
    let top = tempfile::tempdir().unwrap();
    let sys = SysRoot::new(top.path().join("sys"));
    for text in ["", "dam"] {
        fs::write(top.path().join(format!("{NEW}1-0")), text).unwrap();
        take_back(top.path(), &sys);
        assert_eq!(names(top.path()), 0);
    }
    let path = top.path().join(format!("{NEW}1-0"));
    let mut held = Flock::lock(File::create(&path).unwrap(), FlockArg::LockExclusive).unwrap();
    take_back(top.path(), &sys);
    held.write_all(b"a daemon writes it").unwrap();
    assert_eq!(names(top.path()), 1);
}

#[test]
fn files_of_the_same_name_are_kept() {
    let top = tempfile::tempdir().unwrap();
    let sys = SysRoot::new(top.path().join("sys"));
    let pid = std::process::id();
    // Other tests of this process also take numbers.
    for number in 0..100 {
        fs::write(top.path().join(format!("{pid}-{number}")), "kept").unwrap();
    }
    let refused = CleanupRecord::of(top.path(), &Setting::Damon(sys.clone()));
    assert!(refused.is_err() || !refused.unwrap().path.ends_with(format!("{pid}-99")));
    for number in 0..100 {
        let path = top.path().join(format!("{pid}-{number}"));
        assert_eq!(fs::read_to_string(path).unwrap(), "kept");
    }
}

#[test]
fn damon_is_taken_back_by_its_mark_and_before_that_by_the_file() {
    let top = tempfile::tempdir().unwrap();
    let (folder, sys) = (top.path().join("etmem"), SysRoot::new(top.path()));
    let kdamonds = top.path().join("kernel/mm/damon/admin/kdamonds");
    for number in 0..33 {
        let kdamond = kdamonds.join(number.to_string());
        fs::create_dir_all(kdamond.join("contexts")).unwrap();
        fs::write(kdamond.join("state"), "off\n").unwrap();
        fs::write(kdamond.join("contexts/nr_contexts"), "0\n").unwrap();
    }
    let count = kdamonds.join("nr_kdamonds");
    let left = |text| {
        fs::write(&count, text).unwrap();
        take_back(&folder, &sys);
        fs::read_to_string(&count).unwrap()
    };
    assert_eq!(left("33\n"), "33\n", "nothing shows that they are ours");
    let record = CleanupRecord::of(&folder, &Setting::Damon(sys.clone())).unwrap();
    let (path, text) = (record.path.clone(), fs::read(&record.path).unwrap());
    drop(record);
    fs::write(&path, &text).unwrap();
    assert_eq!(left("33\n"), "0");
    assert_eq!(names(&folder), 0);
    fs::write(&path, &text).unwrap();
    assert_eq!(left("7\n"), "7\n", "they belong to another program");
    assert_eq!(names(&folder), 0, "none of our settings is left");
    fs::write(kdamonds.join("0/contexts/nr_contexts"), "1\n").unwrap();
    let intervals = kdamonds.join("0/contexts/0/monitoring_attrs/intervals");
    fs::create_dir_all(&intervals).unwrap();
    fs::write(intervals.join("update_us"), "435745023341\n").unwrap();
    assert_eq!(left("33\n"), "0", "it bears our mark");
}
