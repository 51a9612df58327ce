//! A policy for etmemd: pages out what the processes of its tasks did not touch during a cycle's looks.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "no crate links this library")]

use etmem_plugin_sdk::{Group, Page, Pages, Policy, Process, Refusal, Rhythm, Stop, Task};
use etmem_plugin_sdk::{export, log, mappings};
use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// The policy of one engine.
#[derive(Debug)]
struct ColdPages;

/// What a task is set to, and how far it has come.
#[derive(Debug)]
struct Settings {
    /// A page that counts less is cold.
    below: u32,
    paged_out: AtomicU64,
}

/// A process in a cycle.
#[derive(Debug)]
struct Watched {
    process: Process,
    mappings: Vec<etmem_plugin_sdk::Mapping>,
    pages: Pages,
}

impl Watched {
    fn begin(process: Process) -> io::Result<Self> {
        let mut mappings = mappings(&process)?;
        // Private memory without a file behind it: what only swap can take.
        mappings.retain(|mapping| mapping.inode == 0 && mapping.writable && !mapping.shared);
        let pages = Pages::begin(&process, &mappings)?;
        Ok(Self { process, mappings, pages })
    }

    fn look(&mut self) -> io::Result<()> {
        self.pages.look(&self.process, &self.mappings)
    }
}

impl Policy for ColdPages {
    type Settings = Settings;

    fn new(_engine: &Group<'_>) -> Result<Self, Refusal> {
        Ok(Self)
    }

    fn settings(&self, task: &Group<'_>) -> Result<Settings, Refusal> {
        match task.number_or("cold_below", 1)? {
            0 => Err(Refusal::new("[task] cold_below=0: has to be 1 or more, or nothing would ever be cold")),
            below => Ok(Settings { below, paged_out: AtomicU64::new(0) }),
        }
    }

    fn run(&self, task: &Task<Settings>, stop: &Stop) {
        let Some(rhythm) = task.rhythm else {
            return log(&format!("{}: the project needs scan_type=page", task.name));
        };
        while cycle(task, rhythm, stop) && !stop.wait(rhythm.sleep) {}
    }

    fn command(
        &self,
        task: Option<&Task<Settings>>,
        command: &str,
        answer: &mut dyn Write,
    ) -> Result<(), Refusal> {
        match (command, task) {
            ("paged_out", Some(task)) => {
                let bytes = task.settings.paged_out.load(Ordering::Relaxed);
                Ok(write!(answer, "{} KiB paged out", bytes >> 10)?)
            }
            ("paged_out", None) => Err(Refusal::new("paged_out is a command of a task (-t)")),
            _ => Err(Refusal::new(format!("no command {command:?}; there is paged_out"))),
        }
    }
}

/// One cycle over all processes of a task: whether the task goes on.
fn cycle(task: &Task<Settings>, rhythm: Rhythm, stop: &Stop) -> bool {
    let mut watched: Vec<Watched> = Vec::new();
    for process in task.target.processes() {
        let pid = process.pid();
        keep(task, pid, Watched::begin(process)).into_iter().for_each(|one| watched.push(one));
    }
    for _ in 0..rhythm.looks {
        if stop.wait(rhythm.interval) {
            return false;
        }
        watched.retain_mut(|one| keep(task, one.process.pid(), one.look()).is_some());
    }
    for one in &watched {
        let cold = one.pages.ranges(|page: &Page| page.count < task.settings.below);
        if let Some(bytes) = keep(task, one.process.pid(), one.process.page_out(&cold)) {
            task.settings.paged_out.fetch_add(bytes, Ordering::Relaxed);
        }
        if stop.is_asked() {
            return false;
        }
    }
    true
}

/// The result, or `None` after reporting the error.
fn keep<T>(task: &Task<Settings>, pid: u32, result: io::Result<T>) -> Option<T> {
    result.inspect_err(|error| log(&format!("{}: process {pid}: {error}", task.name))).ok()
}

export!(cold_pages_ops: ColdPages);
