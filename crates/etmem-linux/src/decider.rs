//! Deciders over sockets of the abstract namespace: one connection for each message, as etmem 1.x makes them.
//!
//! Nothing here blocks: every wait is for a short time, after which a stop and the deadline are looked at. So a decider that
//! is silent, reads nothing or writes a byte at a time holds up no task for longer than its limit.

use crate::unix_socket;
use etmem_core::kernel::decider::{AbstractName, Deciders, Unanswered};
use etmem_core::kernel::pacer::{Pace, Pacer};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrUnix, connect, send};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long a wait is before a stop is looked for.
const LOOK_UP: Duration = Duration::from_millis(20);

/// The answer that says yes.
const SUCCESS: &[u8] = b"success";

/// Most bytes of an answer.
const ANSWER_MAX: usize = 10;

/// The deciders of the running machine.
#[derive(Debug)]
pub struct MachineDeciders;

impl Deciders for MachineDeciders {
    fn ask(
        &self,
        name: &AbstractName,
        message: &[u8],
        limit: Duration,
        pacer: &dyn Pacer,
    ) -> Result<(), Unanswered> {
        let exchange = Exchange { name, limit, pacer, begun: pacer.now() };
        let socket = exchange.connect()?;
        exchange.send(&socket, message)?;
        exchange.answer(&socket)
    }
}

/// One message and its answer.
struct Exchange<'a> {
    name: &'a AbstractName,
    limit: Duration,
    pacer: &'a dyn Pacer,
    begun: Duration,
}

impl Exchange<'_> {
    fn connect(&self) -> Result<OwnedFd, Unanswered> {
        let failed = |error: Errno| self.failed("cannot be connected to", error);
        let socket = unix_socket::stream().map_err(failed)?;
        let address = SocketAddrUnix::new_abstract_name(self.name.bytes()).map_err(failed)?;
        loop {
            match connect(&socket, &address) {
                Ok(()) => return Ok(socket),
                Err(Errno::CONNREFUSED | Errno::NOENT) => return Err(Unanswered::Absent(self.name.clone())),
                Err(Errno::INTR) => {}
                // As many wait for it as it lets wait.
                Err(Errno::AGAIN) => {
                    self.check()?;
                    if self.pacer.pause(LOOK_UP) == Pace::Stop {
                        return Err(Unanswered::Stopped);
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn send(&self, socket: &OwnedFd, message: &[u8]) -> Result<(), Unanswered> {
        let mut rest = message;
        while !rest.is_empty() {
            match send(socket, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(socket, PollFlags::OUT)?,
                Err(error) => return Err(self.failed("closed before it had read the message", error)),
            }
        }
        Ok(())
    }

    /// Reads until the answer is whole: a zero, the word for yes, the end of the stream, or as much as an answer may have.
    fn answer(&self, socket: &OwnedFd) -> Result<(), Unanswered> {
        let (mut buffer, mut read) = ([0_u8; ANSWER_MAX], 0);
        loop {
            let (said, room) = buffer.split_at_mut(read);
            if said == SUCCESS || said.contains(&0) || room.is_empty() {
                return self.judge(said);
            }
            match rustix::io::read(socket, room) {
                Ok(0) if said.is_empty() => return Ok(()),
                Ok(0) => return self.judge(said),
                Ok(more) => read += more,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => match self.wait(socket, PollFlags::IN) {
                    Err(Unanswered::Late { .. }) if read > 0 => return self.judge(said),
                    waited => waited?,
                },
                Err(error) => return Err(self.failed("closed before it had read the message", error)),
            }
        }
    }

    /// What the answer `said`, up to its zero, means.
    fn judge(&self, said: &[u8]) -> Result<(), Unanswered> {
        let text = said.split(|byte| *byte == 0).next().unwrap_or_default();
        if text == SUCCESS {
            return Ok(());
        }
        let text = String::from_utf8_lossy(text).into_owned();
        Err(Unanswered::Refused { name: self.name.clone(), text })
    }

    /// Waits a little for `socket` to be ready.
    fn wait(&self, socket: &OwnedFd, ready: PollFlags) -> Result<(), Unanswered> {
        self.check()?;
        let left = (self.begun + self.limit).saturating_sub(self.pacer.now());
        let wait = Timespec { tv_sec: 0, tv_nsec: left.min(LOOK_UP).subsec_nanos().into() };
        match poll(&mut [PollFd::new(socket, ready)], Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(self.failed("cannot be waited for", error)),
        }
    }

    /// Whether to go on.
    fn check(&self) -> Result<(), Unanswered> {
        if self.pacer.pace() == Pace::Stop {
            return Err(Unanswered::Stopped);
        }
        if self.pacer.now().saturating_sub(self.begun) >= self.limit {
            return Err(Unanswered::Late { name: self.name.clone(), limit: self.limit });
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: Errno) -> Unanswered {
        Unanswered::Failed { name: self.name.clone(), reason: format!("{what}: {error}") }
    }
}
