//! The keys of engines whose policy comes from outside, and what they mean to those who host them.

use etmem_config::error::Rule;
use etmem_config::values::{name, threads, yes_or_no};
use etmem_config::{EngineSection, KeyError, TaskSection, keys};
use etmem_core::name::Name;
use std::path::PathBuf;

keys! { pub(super) ENGINE;
    ENG_NAME: Name = needed("eng_name", name)
        .help("The engine's own name, which tasks refer to; not the name of a kind of engine.").example("my_engine");
    LIBNAME: PathBuf = needed("libname", library)
        .help("The shared object. It belongs to root:root and has mode 0500 or 0700.").example("/usr/lib/etmem/my_engine.so");
    OPS_NAME: Box<str> = needed("ops_name", identifier)
        .help("The exported symbol of type `struct engine_ops`.").example("my_engine_ops");
    ISOLATE: bool = or("isolate", "no", yes_or_no).ours("0.1.0")
        .help("Run the policy in a process of its own, so that its faults do not end the daemon.").example("yes");
}

keys! { pub(super) TASK;
    MAX_THREADS: usize = or("max_threads", "1", threads).unit("processes")
        .help("Processes worked on at once, for the policy to heed.").example("2");
    SWAP_FLAG: bool = or("swap_flag", "no", yes_or_no)
        .help("Only what the program itself marked for swapping, for the policy to heed.").example("yes");
}

/// What the group of an engine says to those who host its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedEngine {
    /// The shared object: an absolute path, not looked at yet.
    pub library: PathBuf,
    /// The symbol of type `struct engine_ops`: a C identifier.
    pub operations: Box<str>,
    /// Whether it gets a process of its own (ours).
    pub isolate: bool,
}

/// What the group of a task says to those who host its engine's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostedTask {
    /// Processes to be worked on at once, at least 1.
    pub max_threads: usize,
    /// Only mappings that the process marked for swapping.
    pub swap_flag: bool,
}

/// What `section` says, where its policy comes from outside.
#[must_use]
pub fn hosted(section: &EngineSection) -> Option<HostedEngine> {
    (section.kind == super::KIND.keys.name).then(|| HostedEngine::new(section).ok()).flatten()
}

impl HostedEngine {
    fn new(section: &EngineSection) -> Result<Self, KeyError> {
        Ok(Self {
            library: section.get(&LIBNAME)?,
            operations: section.get(&OPS_NAME)?,
            isolate: section.get(&ISOLATE)?,
        })
    }
}

impl HostedTask {
    /// What `section` says.
    ///
    /// # Errors
    /// It is not one that was read from a file as such a task.
    pub fn new(section: &TaskSection) -> Result<Self, KeyError> {
        Ok(Self { max_threads: section.get(&MAX_THREADS)?, swap_flag: section.get(&SWAP_FLAG)? })
    }
}

fn library(text: &str) -> Result<PathBuf, Rule> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(Rule::Form("the absolute path of a shared object")) }
}

fn identifier(text: &str) -> Result<Box<str>, Rule> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if begins && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Ok(text.into())
    } else {
        Err(Rule::Form("the C identifier of a symbol of type struct engine_ops"))
    }
}
