//! The balloon of a guest on a scripted machine.

use super::FakeMachine;
use etmem_core::kernel::balloon::{Balloon, BalloonError, Balloons, GuestState, Noted};
use etmem_core::kernel::process::Pid;
use std::path::Path;
use std::time::Duration;

/// The guest, and what was asked of it.
#[derive(Debug, Clone, Default)]
pub struct FakeBalloon {
    /// The guest as it is. Its driver reports again each time that it is asked for its state, unless [`Self::is_silent`].
    pub state: GuestState,
    /// It does not report again.
    pub is_silent: bool,
    /// The driver does not do what it is asked.
    pub is_stuck: bool,
    /// What the monitor answers instead.
    pub fails: Option<BalloonError>,
    /// What cannot be written down.
    pub not_noted: bool,
    /// The process that listens.
    pub listener: Option<Pid>,
    /// What it was asked to be left with.
    pub asked: Vec<u64>,
    /// What was written down, and how often that was removed again.
    pub noted: Vec<u64>,
    /// See there.
    pub removed: usize,
}

impl FakeMachine {
    /// Changes the guest.
    pub fn change_balloon(&self, change: impl FnOnce(&mut FakeBalloon)) {
        change(&mut self.lock().balloon);
    }

    /// How that is now.
    #[must_use]
    pub fn balloon(&self) -> FakeBalloon {
        self.lock().balloon.clone()
    }
}

impl Balloons for FakeMachine {
    fn connect(&self, _: &Path, _: Duration) -> Result<Box<dyn Balloon>, BalloonError> {
        let fails = self.lock().balloon.fails.clone();
        fails.map_or_else(|| Ok(Box::new(Connected(self.clone())) as _), Err)
    }

    fn note(&self, _: &Path, bytes: u64) -> Result<Box<dyn Noted>, String> {
        let balloon = &mut self.lock().balloon;
        if balloon.not_noted {
            return Err("No space left on device".to_owned());
        }
        balloon.noted.push(bytes);
        Ok(Box::new(Note(self.clone())))
    }
}

#[derive(Debug)]
struct Note(FakeMachine);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.lock().balloon.removed += 1;
    }
}

#[derive(Debug)]
struct Connected(FakeMachine);

impl Balloon for Connected {
    fn listener(&self) -> Option<Pid> {
        self.0.lock().balloon.listener
    }

    fn state(&mut self) -> Result<GuestState, BalloonError> {
        let balloon = &mut self.0.lock().balloon;
        if let Some(error) = &balloon.fails {
            return Err(error.clone());
        }
        if let Some(reported) = balloon.state.reported.as_mut().filter(|_| !balloon.is_silent) {
            reported.at += 1;
        }
        Ok(balloon.state.clone())
    }

    /// What the guest has less of, it had available.
    fn set(&mut self, bytes: u64) -> Result<(), BalloonError> {
        let balloon = &mut self.0.lock().balloon;
        if let Some(error) = &balloon.fails {
            return Err(error.clone());
        }
        balloon.asked.push(bytes);
        if !balloon.is_stuck {
            let (before, now) = (balloon.state.actual, bytes.min(balloon.state.size));
            balloon.state.actual = now;
            if let Some(reported) = &mut balloon.state.reported {
                reported.available = (reported.available + now).saturating_sub(before);
            }
        }
        Ok(())
    }
}
