//! Guests that give memory, with a record of what each had, by which the next daemon gives back what this one had taken when it was killed.

use crate::cleanup_records::CleanupRecord;
use etmem_core::kernel::balloon::{Balloon, BalloonError, Balloons, Noted};
use etmem_linux::lasting::Setting;
use etmem_linux::qmp;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Guests of this machine; the records are in this folder.
#[derive(Debug)]
pub(crate) struct NotedBalloons(pub(crate) PathBuf);

impl Balloons for NotedBalloons {
    fn connect(&self, socket: &Path, interval: Duration) -> Result<Box<dyn Balloon>, BalloonError> {
        qmp::connect(socket, interval)
    }

    fn note(&self, socket: &Path, bytes: u64) -> Result<Box<dyn Noted>, String> {
        let record = CleanupRecord::of(&self.0, &Setting::Balloon(socket.to_owned(), bytes));
        record.map(|record| Box::new(record) as _).map_err(|error| error.to_string())
    }
}
