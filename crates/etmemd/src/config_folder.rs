//! Projects that are there whenever the daemon is: `--config-dir` names a folder, and its files are added and their projects
//! started when the daemon starts, and read again by `etmem reload`.

use crate::files::{add, read, warnings};
use crate::registry::{Denied, Object, Registry, objects};
use crate::whole_file;
use etmem_config::{ConfigFile, ProjectSection};
use etmem_wire::ErrorKind;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tracing::{error, info};

/// Other names in the folder are none of etmemd's: notes, and what editors and package managers leave.
const EXTENSION: &str = "conf";

/// The folder, and what its files listed when they were read last.
#[derive(Debug)]
pub(crate) struct ConfigFolder {
    path: PathBuf,
    listed: BTreeMap<PathBuf, Vec<Object>>,
}

/// What came of reading all files.
#[derive(Debug, Default)]
struct Read {
    /// A line each.
    done: Vec<String>,
    refused: Vec<Denied>,
}

impl ConfigFolder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, listed: BTreeMap::new() }
    }

    /// Adds the files to `registry`, in the order of their names, and starts their projects but those with `autostart=no`.
    /// What is refused goes to the log, and keeps no other file out.
    pub(crate) fn load(&mut self, registry: &mut Registry) {
        match files(&self.path) {
            Ok(files) => drop(self.read(registry, &files)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                info!("there is no {}, so no project is added", self.path.display());
            }
            Err(error) => error!("cannot read {}: {error}", self.path.display()),
        }
    }

    /// Reads the files again, and makes what there is what they say now. What is refused stays as it was: then who asked learns of that
    /// first, and of what was done.
    pub(crate) fn reload(
        &mut self,
        registry: &mut Registry,
    ) -> Result<Vec<String>, (ErrorKind, Vec<String>)> {
        let Read { mut done, refused } = match files(&self.path) {
            Ok(files) => self.read(registry, &files),
            Err(error) => {
                let reason = format!("cannot be read: {error}; nothing is changed");
                let denied = Denied::Folder { path: self.path.display().to_string(), reason };
                Read { refused: vec![denied], ..Read::default() }
            }
        };
        if let Some(first) = refused.first() {
            return Err((first.kind(), refused.iter().map(ToString::to_string).chain(done).collect()));
        }
        if done.is_empty() {
            done.push("nothing is different".to_owned());
        }
        Ok(done)
    }

    fn read(&mut self, registry: &mut Registry, files: &[PathBuf]) -> Read {
        let mut all = Read::default();
        let before = std::mem::take(&mut self.listed);
        for path in files {
            let changed = read(path).and_then(|file| {
                self.check_once(path, &file)?;
                let new: Vec<_> =
                    file.projects.iter().filter(|project| !registry.has_project(&project.name)).collect();
                let lines = registry.change(&file).map_err(|denied| vec![denied])?;
                // They are known of a file that says as before.
                if !lines.is_empty() {
                    warnings(&file);
                }
                Ok((objects(&file), lines, start(registry, &file, &new)))
            });
            match changed {
                Ok((objects, lines, started)) => {
                    if !before.contains_key(path) {
                        all.say(format!("added {}", path.display()));
                    }
                    lines.into_iter().chain(started).for_each(|line| all.say(line));
                    self.listed.insert(path.clone(), objects);
                }
                Err(denied) => {
                    let what = if before.contains_key(path) {
                        "is refused, and what it said before stays"
                    } else {
                        "is not added"
                    };
                    error!("{} {what}: {}", path.display(), words(&denied));
                    all.refused.extend(denied);
                    self.listed.extend(
                        before.get_key_value(path).map(|(path, known)| (path.clone(), known.clone())),
                    );
                }
            }
        }
        // Tasks before their engines, and these before their projects.
        let gone = before
            .into_values()
            .flatten()
            .filter(|object| self.listed.values().all(|listed| !listed.contains(object)));
        let mut gone: Vec<Object> = gone.collect();
        gone.sort();
        for object in gone.iter().rev() {
            registry.remove_named(object).into_iter().for_each(|line| all.say(line));
        }
        all
    }

    /// Whether no file that came before lists anything of `file`.
    fn check_once(&self, path: &Path, file: &ConfigFile) -> Result<(), Vec<Denied>> {
        for object in objects(file) {
            let other = self.listed.iter().find(|(_, listed)| listed.contains(&object));
            if let Some((other, _)) = other {
                return Err(vec![Denied::Twice {
                    place: format!("{}: ", path.display()),
                    object: object.to_string(),
                    other: other.display().to_string(),
                }]);
            }
        }
        Ok(())
    }

    /// Adds what the file at `from` lists, and keeps a copy of it here.
    pub(crate) fn keep(&mut self, registry: &mut Registry, from: &Path) -> Result<Vec<String>, Vec<Denied>> {
        let file = read(from)?;
        let name = from.file_stem().unwrap_or(OsStr::new("project"));
        let path = self.path.join(name).with_extension(EXTENSION);
        let denied = |reason: String| vec![Denied::Folder { path: path.display().to_string(), reason }];
        if path.exists() {
            return Err(denied(
                "is there already; change it there and use etmem reload, or give the file another name"
                    .to_owned(),
            ));
        }
        let copied = copy(from, &path).map_err(|error| denied(format!("cannot be written: {error}")));
        let added = copied.and_then(|()| add(registry, &file));
        match added {
            Ok(mut lines) => {
                lines.push(format!("kept as {}", path.display()));
                self.listed.insert(path, objects(&file));
                Ok(lines)
            }
            Err(denied) => {
                // Nothing of it is to be there at the next start.
                let _ = fs::remove_file(&path);
                Err(denied)
            }
        }
    }
}

impl Read {
    fn say(&mut self, line: String) {
        info!("{line}");
        self.done.push(line);
    }
}

/// Copies a file, in one step for who reads the folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let text = fs::read(from)?;
    whole_file::write(to, |file| {
        file.write_all(&text)?;
        file.sync_all()
    })
}

/// Starts the `new` projects of `file`; what was done, a line each.
fn start(registry: &mut Registry, file: &ConfigFile, new: &[&ProjectSection]) -> Vec<String> {
    let mut lines = Vec::new();
    for project in new.iter().filter(|project| project.autostart) {
        let name = &project.name;
        match registry.start(name) {
            Ok(notes) => {
                lines.push(format!("started project {name}"));
                lines.extend(notes);
            }
            Err(denied) => error!(
                "project {name} of {} is added, and not started: {denied}; once that is mended: etmem project start -n {name}",
                file.path.display()
            ),
        }
    }
    lines
}

fn words(denied: &[Denied]) -> String {
    denied.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The files of `folder`, in the order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
    files.retain(|path| path.extension() == Some(OsStr::new(EXTENSION)) && !is_hidden(path));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_names_and_others_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert!(files(&folder.path().join("none")).is_err());
        for name in ["20-b.conf", "10-a.conf", "note.txt", ".30.conf", "40.conf~", "conf"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let expected = ["10-a.conf", "20-b.conf"].map(|name| folder.path().join(name));
        assert_eq!(files(folder.path()).unwrap(), expected);
    }
}
