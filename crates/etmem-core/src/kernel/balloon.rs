//! Guests that give memory back to their host by a balloon (virtio-balloon, `qapi/machine.json` of QEMU).
//!
//! A balloon is a request: the guest's driver takes memory away from the guest, and it arrives when it arrives.

use super::process::Pid;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a guest has, as its monitor says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestState {
    /// Bytes of memory that it was started with, or that were plugged in since.
    pub size: u64,
    /// Bytes that are left to it: without what is in the balloon. Not what it uses.
    pub actual: u64,
    /// Why it is to be left alone, if it is: it is paused, or on its way to another host.
    pub halted: Option<String>,
    /// What its driver reports; `None` if it has reported nothing yet, or there is no driver.
    pub reported: Option<Reported>,
}

/// What a guest's driver reports. Bytes, and counts since the guest was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    /// When, in seconds of some clock: another number means another report.
    pub at: u64,
    /// Memory that could be had without swapping.
    pub available: u64,
    /// Major page faults; `None` if not reported.
    pub major_faults: Option<u64>,
    /// Bytes read back from swap; `None` if not reported.
    pub swapped_in: Option<u64>,
}

/// Why a guest's monitor is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BalloonError {
    /// Nothing listens there.
    #[error("{}: {reason}; start QEMU with -qmp unix:{},server=on,wait=off", .socket.display(), .socket.display())]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// What the kernel answered.
        reason: String,
    },
    /// It accepts, and says nothing: it speaks with one program at a time.
    #[error("{}: no greeting within 2 s: another program has it, or QEMU hangs; give etmemd a -qmp socket of its own", .0.display())]
    Taken(PathBuf),
    /// It closed the connection, or does not answer any more.
    #[error("{}: {reason}", .socket.display())]
    Lost {
        /// The socket.
        socket: PathBuf,
        /// How.
        reason: String,
    },
    /// What it says is not of QEMU's machine protocol.
    #[error("{}: not QMP: {said}", .socket.display())]
    Garbled {
        /// The socket.
        socket: PathBuf,
        /// What it said, in short.
        said: String,
    },
    /// The guest has no balloon.
    #[error("{}: the guest has no balloon; start QEMU with -device virtio-balloon-pci", .0.display())]
    NoDevice(PathBuf),
    /// It refuses a command.
    #[error("{}: {command}: {reason}", .socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// The command.
        command: &'static str,
        /// Its answer.
        reason: String,
    },
}

/// Reaches guests.
pub trait Balloons: fmt::Debug + Send + Sync {
    /// Connects to the monitor at `socket`, and has the guest report at this interval.
    ///
    /// # Errors
    /// Why it is of no use.
    fn connect(&self, socket: &Path, interval: Duration) -> Result<Box<dyn Balloon>, BalloonError>;

    /// Writes down that the guest at `socket` had `bytes`, for the next daemon to give back if this one is killed, until the answer is
    /// dropped.
    ///
    /// # Errors
    /// Why that cannot be written; then nothing may be taken.
    fn note(&self, socket: &Path, bytes: u64) -> Result<Box<dyn Noted>, String>;
}

/// What was written down of a guest; removed when dropped.
pub trait Noted: fmt::Debug + Send {}
impl<T: fmt::Debug + Send> Noted for T {}

/// The balloon of a guest. Its guest reports as before when this is dropped.
pub trait Balloon: fmt::Debug + Send {
    /// The process that listens at the socket, as far as the kernel says: QEMU, or the program that passed the socket to it.
    fn listener(&self) -> Option<Pid>;

    /// How the guest is now.
    ///
    /// # Errors
    /// Why its monitor is of no use any more.
    fn state(&mut self) -> Result<GuestState, BalloonError>;

    /// Asks for the guest to be left with this many bytes.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    fn set(&mut self, bytes: u64) -> Result<(), BalloonError>;
}
