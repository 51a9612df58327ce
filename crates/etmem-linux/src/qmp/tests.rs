//! Exchanges with monitors of every manner.

use super::*;
use etmem_core::kernel::balloon::{BalloonError, GuestState, Reported};
use etmem_testkit::qmp::{Manner, ScriptedGuest, ScriptedMonitor};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const INTERVAL: Duration = Duration::from_secs(5);

struct Place {
    _folder: tempfile::TempDir,
    socket: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place { socket: folder.path().join("qmp"), _folder: folder }
}

fn monitor(change: impl FnOnce(&mut ScriptedGuest)) -> (Place, ScriptedMonitor) {
    let (place, mut guest) = (place(), ScriptedGuest::default());
    change(&mut guest);
    let monitor = ScriptedMonitor::start(&place.socket, guest).unwrap();
    (place, monitor)
}

fn manner(manner: Manner) -> (Place, ScriptedMonitor) {
    monitor(|guest| guest.manner = manner)
}

#[test]
fn a_guest_is_asked_and_set() {
    for of in [Manner::Good, Manner::Slow(Duration::from_millis(50)), Manner::Events] {
        let (place, monitor) = manner(of);
        let mut balloon = connect(&place.socket, INTERVAL).unwrap();
        assert_eq!(balloon.listener().map(etmem_core::kernel::process::Pid::get), Some(std::process::id()));
        assert_eq!(monitor.guest().interval, 5);
        let reported = Reported { at: 1, available: 300 * MIB, major_faults: Some(7), swapped_in: None };
        let want = GuestState { size: 512 * MIB, actual: 512 * MIB, halted: None, reported: Some(reported) };
        assert_eq!(balloon.state().unwrap(), want, "{of:?}");
        balloon.set(500 * MIB).unwrap();
        assert_eq!(balloon.state().unwrap().actual, 500 * MIB);
        drop(balloon);
        assert_eq!(monitor.guest().interval, 0, "it reports as before");
    }
}

#[test]
fn a_guest_that_is_to_be_left_alone_is_known() {
    let (place, monitor) = monitor(|guest| guest.last_update = 0);
    let mut balloon = connect(&place.socket, INTERVAL).unwrap();
    assert_eq!(balloon.state().unwrap().reported, None, "it never reported");
    monitor.change(|guest| (guest.last_update, guest.available) = (9, u64::MAX));
    assert_eq!(balloon.state().unwrap().reported, None, "2^64-1 means not known");
    monitor.change(|guest| guest.migration = Some("active"));
    assert!(balloon.state().unwrap().halted.unwrap().contains("migrates"));
    monitor.change(|guest| (guest.migration, guest.status) = (Some("completed"), "paused"));
    assert_eq!(balloon.state().unwrap().halted.unwrap(), "the guest does not run (paused)");
}

#[test]
fn each_manner_that_is_none_has_its_reason() {
    let said = |manner: Manner| {
        let (place, _monitor) = super::tests::manner(manner);
        let error = connect(&place.socket, INTERVAL).and_then(|mut balloon| balloon.state()).unwrap_err();
        error.to_string().replace(&place.socket.display().to_string(), "S")
    };
    for (manner, want) in [
        (Manner::Silent, "S: no greeting within 2 s: another program has it"),
        (Manner::Deaf, "S: no answer within 2 s"),
        (Manner::ClosesAt("qmp_capabilities"), "S: closed by QEMU"),
        (Manner::ClosesAt("query-balloon"), "S: closed by QEMU"),
        (Manner::Garbage, "S: not QMP: SSH-2.0-OpenSSH_9.2"),
        (Manner::OtherJson, "S: not QMP: its first line is no greeting"),
        (Manner::Endless, "S: not QMP: a line without an end"),
        (Manner::Slow(Duration::from_secs(3)), "S: no answer within 2 s"),
    ] {
        let said = said(manner);
        assert!(said.starts_with(want), "{manner:?}: {said}");
    }
    let gone = place();
    let absent = connect(&gone.socket, INTERVAL).unwrap_err();
    assert!(
        matches!(&absent, BalloonError::Absent { .. }) && absent.to_string().contains("-qmp unix:"),
        "{absent}"
    );
    let (place, _monitor) = monitor(|guest| guest.device = false);
    assert_eq!(connect(&place.socket, INTERVAL).unwrap_err(), BalloonError::NoDevice(place.socket.clone()));
}

#[test]
fn a_monitor_that_another_program_has_is_taken() {
    let (place, _monitor) = manner(Manner::Good);
    let _other = UnixStream::connect(&place.socket).unwrap();
    assert_eq!(connect(&place.socket, INTERVAL).unwrap_err(), BalloonError::Taken(place.socket.clone()));
}

#[test]
fn what_a_killed_daemon_took_is_given_back_once() {
    let (place, monitor) = monitor(|guest| guest.actual = 300 * MIB);
    assert!(give_back(&place.socket, 512 * MIB));
    assert_eq!(monitor.guest().actual, 512 * MIB);
    assert!(give_back(&place.socket, 400 * MIB), "it has more by now");
    assert_eq!(monitor.guest().actual, 512 * MIB);
    monitor.change(|guest| guest.device = false);
    assert!(give_back(&place.socket, 512 * MIB), "there is nothing to give it by");
    monitor.change(|guest| (guest.device, guest.manner) = (true, Manner::Silent));
    assert!(!give_back(&place.socket, 512 * MIB), "later");
    assert!(give_back(&PathBuf::from("/nonexistent/socket"), 512 * MIB), "the guest is gone");
}
