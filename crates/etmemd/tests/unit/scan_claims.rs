use super::*;
use etmem_testkit::fake::{FakePacer, Sharing};
use tempfile::TempDir;

fn process(pid: u32) -> ProcessId {
    ProcessId { pid: Pid::new(pid).unwrap(), start_time: 7 }
}

const LONGEST: Duration = Duration::from_millis(200);

/// A folder, a daemon and a command.
fn both() -> (TempDir, DaemonClaims, CommandClaims) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = DaemonClaims::new(folder.path().to_owned());
    let command = CommandClaims::open(folder.path()).unwrap();
    (folder, daemon, command)
}

#[test]
fn a_daemon_leaves_alone_what_a_command_has() {
    let (_folder, daemon, command) = both();
    let before = daemon.claim(process(12), &Sharing).unwrap().commands;
    let claim = command.claim(process(11), &Sharing, &FakePacer::endless(), LONGEST).unwrap();
    assert!(daemon.claim(process(11), &Sharing).is_none());
    assert!(daemon.claim(process(21), &Sharing).is_none(), "it shares the memory of 11");
    assert!(daemon.claim(process(12), &Sharing).is_some(), "another memory");
    drop(claim);
    assert_ne!(daemon.claim(process(11), &Sharing).unwrap().commands, before, "what was armed is so no more");
}

#[test]
fn a_command_waits_for_the_scan_of_a_daemon() {
    let (folder, daemon, command) = both();
    let held = daemon.claim(process(21), &Sharing);
    let other = DaemonClaims::new(folder.path().to_owned());
    assert!(other.claim(process(21), &Sharing).is_some(), "daemons do not keep each other away");
    let claim =
        |command: &CommandClaims, pacer: &FakePacer| command.claim(process(11), &Sharing, pacer, LONGEST);
    let pacer = FakePacer::endless();
    assert!(matches!(claim(&command, &pacer), Err(NotClaimed::ByDaemon(LONGEST))));
    assert_eq!(pacer.pauses(), [TRY_AGAIN; 4]);
    assert!(matches!(claim(&command, &FakePacer::stopping_after(1)), Err(NotClaimed::Stopped)));
    assert!(daemon.claim(process(11), &Sharing).is_some(), "nothing is left of the attempts");
    drop(held);
    assert!(claim(&command, &FakePacer::stopping_after(0)).is_ok());
}

#[test]
fn one_command_at_a_time() {
    let (folder, _daemon, first) = both();
    let second = CommandClaims::open(folder.path()).unwrap();
    let claim = |command: &CommandClaims, pid| {
        command.claim(process(pid), &Sharing, &FakePacer::stopping_after(0), LONGEST)
    };
    let held = claim(&first, 11).unwrap();
    assert!(matches!(claim(&second, 11), Err(NotClaimed::ByCommand)));
    assert!(matches!(claim(&second, 21), Err(NotClaimed::ByCommand)));
    assert!(claim(&second, 12).is_ok());
    drop(held);
    assert!(claim(&second, 21).is_ok());
}

#[test]
fn every_lock_of_others_is_found() {
    let (folder, daemon, _command) = both();
    let other = DaemonClaims::new(folder.path().to_owned());
    let held: Vec<_> =
        [7, 9, 10, 11, 500, 4_194_303].map(|pid| daemon.claim(process(pid), &Sharing).unwrap()).into();
    let more: Vec<_> = [3, 8, 10, 600].map(|pid| other.claim(process(pid), &Sharing).unwrap()).into();
    let third = Files::open(folder.path()).unwrap();
    let mut found: Vec<u32> = locked_by_others(&third.daemons).unwrap().iter().map(|pid| pid.get()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, [3, 7, 8, 9, 10, 11, 500, 600, 4_194_303]);
    let theirs: Vec<u32> =
        locked_by_others(&daemon.files().unwrap().daemons).unwrap().iter().map(|pid| pid.get()).collect();
    assert!([3, 8, 10, 600].iter().all(|pid| theirs.contains(pid)) && !theirs.contains(&7), "{theirs:?}");
    drop((held, more));
    assert_eq!(locked_by_others(&third.daemons).unwrap(), []);
}
