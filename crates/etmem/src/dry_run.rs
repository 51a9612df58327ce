//! `--dry-run`: what an etmemd would say of a file, with none running.
//!
//! The file goes the way that it goes in the daemon: the checks and rules of `etmem_config`, then those of its
//! engines. What only a daemon knows stays open: whether a project that the file does not hold is there, whether a
//! name is taken, whether a process runs, what the kernel can do.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;

use etmem_config::error::Form as FileForm;
use etmem_config::{ConfigError, ConfigFile, EngineSection, FaultClass, ProjectSection};
use etmem_core::name::Name;
use etmem_engine::{Engine, EngineError, ScanLocks};
use etmem_wire::{ErrorKind, Response, Status};

/// Stands for the project's name, which a file of etmem 1.0 does not hold.
const NAME: &str = "NAME";

/// A file to check.
#[derive(Debug)]
pub(crate) struct DryRun {
    pub(crate) file: PathBuf,
    pub(crate) form: Form,
}

/// How it is to be read.
#[derive(Debug)]
pub(crate) enum Form {
    /// As `obj add` reads it.
    Current { strict: bool },
    /// As etmem 1.0 did, with the project's name.
    Older { project: Name },
}

/// Why the daemon would refuse the file.
struct Refused {
    kind: ErrorKind,
    reasons: Vec<String>,
}

impl DryRun {
    /// Prints what the daemon would say, and says how it would end.
    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<Status> {
        match self.check() {
            Ok(lines) => {
                out.write_all(Response::success(lines.join("\n")).text().as_bytes())?;
                Ok(Status::Success)
            }
            Err(Refused { kind, reasons }) => {
                writeln!(out, "{}", Response::failure(kind, reasons).text())?;
                Ok(Status::Failure)
            }
        }
    }

    fn check(&self) -> Result<Vec<String>, Refused> {
        let mut notes = Vec::new();
        let config = match &self.form {
            Form::Current { .. } => match etmem_config::load(&self.file, &etmem_engine::keys()) {
                Err(ConfigError::OtherForm { form: FileForm::Older, .. }) => {
                    notes.push(format!(
                        "note: a file of etmem 1.0: it is added with etmem project add -n {NAME} -f {}",
                        self.file.display()
                    ));
                    Name::new(NAME).map_err(|error| Refused::new(ErrorKind::Internal, error)).map(
                        |project| etmem_config::load_older(&self.file, &project, &etmem_engine::keys()),
                    )?
                }
                read => read,
            },
            Form::Older { project } => etmem_config::load_older(&self.file, project, &etmem_engine::keys()),
        };
        let config = config.map_err(|error| Refused::new(class_kind(error.class()), error))?;
        if matches!(self.form, Form::Current { strict: true }) && !config.warnings.is_empty() {
            let reasons = config.warnings.iter().map(|warning| format!("{warning}; --strict refuses it"));
            return Err(Refused { kind: ErrorKind::InvalidParameters, reasons: reasons.collect() });
        }
        let mut lines = vec![format!(
            "{}: no fault found in {}, {}, {}",
            self.file.display(),
            count(config.projects.len(), "project"),
            count(config.engines.len(), "engine"),
            count(config.tasks.len(), "task")
        )];
        lines.extend(config.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.extend(notes);
        lines.extend(Objects::of(&config)?.notes);
        Ok(lines)
    }
}

impl Refused {
    fn new(kind: ErrorKind, reason: impl Display) -> Self {
        Self { kind, reasons: vec![reason.to_string()] }
    }
}

/// What of a file was found to fit together so far.
#[derive(Default)]
struct Objects<'a> {
    projects: HashMap<&'a Name, &'a ProjectSection>,
    /// None for an engine that is not built into this version, and for a plugin's.
    engines: HashMap<(&'a Name, &'a Name), Option<Box<dyn Engine>>>,
    tasks: HashSet<(&'a Name, &'a Name, &'a Name)>,
    /// What a daemon has to have, or would say no to: each once.
    notes: Vec<String>,
    noted: HashSet<String>,
}

impl<'a> Objects<'a> {
    fn of(config: &'a ConfigFile) -> Result<Self, Refused> {
        let mut objects = Self::default();
        let place = |line: usize| format!("{}:{line}: ", config.path.display());
        for section in &config.projects {
            if objects.projects.insert(&section.name, section).is_some() {
                let reason =
                    format!("{}project {} is in this file already", place(section.line), section.name);
                return Err(Refused::new(ErrorKind::ProjectExists, reason));
            }
        }
        for section in &config.engines {
            let engine = objects.engine(section, &place(section.line))?;
            if !objects.projects.contains_key(&section.project) {
                objects
                    .note(format!("project {} is not in this file: etmemd has to have it", section.project));
            }
            if objects.engines.insert((&section.project, &section.name), engine).is_some() {
                let (line, name, project) = (place(section.line), &section.name, &section.project);
                let reason = format!("{line}engine {name} of project {project} is in this file already");
                return Err(Refused::new(ErrorKind::EngineExists, reason));
            }
        }
        for section in &config.tasks {
            let (project, engine, name) = (&section.project, &section.engine, &section.name);
            if !objects.tasks.insert((project, engine, name)) {
                let line = place(section.line);
                let reason = format!(
                    "{line}task {name} of engine {engine} of project {project} is in this file already"
                );
                return Err(Refused::new(ErrorKind::TaskExists, reason));
            }
            match (objects.projects.get(project), objects.engines.get(&(project, engine))) {
                (Some(project), Some(Some(engine))) => {
                    engine.work(project, section).map_err(|error| {
                        let line = error.key().map_or(section.line, |key| section.line_of(key));
                        Refused::new(class_kind(error.class()), format!("{}{error}", place(line)))
                    })?;
                }
                (_, Some(_)) => {}
                (_, None) => objects.note(format!(
                    "engine {engine} of project {project} is not in this file: etmemd has to have it"
                )),
            }
        }
        Ok(objects)
    }

    /// The engine of `section`, which stands at `place`; no engine if only a daemon could say more.
    fn engine(&mut self, section: &EngineSection, place: &str) -> Result<Option<Box<dyn Engine>>, Refused> {
        if let Some(plugin) = etmem_engine::hosted(section) {
            let library = plugin.library.display();
            etmem_config::library::check(&plugin.library).map_err(|error| {
                Refused::new(ErrorKind::Internal, format!("{place}[engine] libname={library}: {error}"))
            })?;
            self.note(format!("{place}{library} is loaded, and has its say, only when it is added"));
            return Ok(None);
        }
        match etmem_engine::engine(section, &ScanLocks::default()) {
            Ok(engine) => Ok(Some(engine)),
            Err(error @ EngineError::NotBuilt { .. }) => {
                self.note(format!("{place}{error}; it would be refused"));
                Ok(None)
            }
            Err(error) => Err(Refused::new(class_kind(error.class()), format!("{place}{error}"))),
        }
    }

    /// Adds a note, once.
    fn note(&mut self, text: String) {
        if self.noted.insert(text.clone()) {
            self.notes.push(format!("note: {text}"));
        }
    }
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The first line that the daemon has for a fault of this class.
const fn class_kind(class: FaultClass) -> ErrorKind {
    match class {
        FaultClass::InvalidParameters => ErrorKind::InvalidParameters,
        FaultClass::Internal => ErrorKind::Internal,
    }
}
