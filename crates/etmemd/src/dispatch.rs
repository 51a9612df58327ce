//! From a request to its answer.

use crate::registry::{self, Denied, Registry};
use crate::task_show::task_show;
use etmem_config::{ConfigError, ConfigFile, ListedObjects};
use etmem_engine::Question;
use etmem_wire::{ErrorKind, Request, Response, project_show};
use std::fmt::Display;
use std::path::Path;
use tracing::{error, info, warn};

/// Lines for the client, or why nothing was done.
type Answer = Result<Vec<String>, Vec<Denied>>;

/// What comes of a request.
pub(crate) enum Reply {
    /// The answer.
    Response(Response),
    /// The registry is done with it, and the answer takes time.
    Asked(Asked),
}

/// A question to an engine that does not answer at once.
pub(crate) struct Asked {
    request: String,
    question: Question,
}

impl Asked {
    /// Waits for the answer.
    pub(crate) fn answer(self) -> Response {
        let answer = (self.question)().map(|text| vec![text]);
        response(&self.request, answer.map_err(|refusal| vec![Denied::unplaced(refusal)]))
    }
}

/// Carries out `request`.
pub(crate) fn dispatch(registry: &mut Registry, request: &Request) -> Reply {
    let answer = match request {
        Request::ObjAdd { file } => read(file.as_str()).and_then(|file| add(registry, &file)),
        Request::ObjAddStrict { file } => {
            read(file.as_str()).and_then(nothing_ignored).and_then(|file| add(registry, &file))
        }
        Request::ObjDel { file } => listed(file.as_str()).and_then(|listed| registry.delete(&listed)),
        Request::ProjectAdd { name, file } => etmem_engine::load_older(Path::new(file.as_str()), name)
            .map_err(refused)
            .and_then(|file| add(registry, &file)),
        Request::ProjectDel { name } => registry.delete_project(name).map_err(|denied| vec![denied]),
        Request::ProjectStart { name } => registry.start(name).map_err(|denied| vec![denied]),
        Request::ProjectStop { name } => registry.stop(name).map_err(|denied| vec![denied]),
        Request::ProjectShow { name, verbose } => {
            let shown = registry.show(name.as_ref(), *verbose);
            return Reply::Response(Response::success(project_show(&shown, name.as_ref())));
        }
        Request::Engine { project, engine, command, task } => {
            match registry.command(project, engine, command.as_str(), task.as_ref()) {
                Ok(registry::Answer::Text(text)) => Ok(vec![text]),
                Ok(registry::Answer::Asked(question)) => {
                    return Reply::Asked(Asked { request: request.encode(), question });
                }
                Err(denied) => Err(vec![denied]),
            }
        }
        Request::TaskShow { project, task, form } => match registry.tasks(project, task.as_ref()) {
            Ok(tasks) => {
                return Reply::Response(Response::success(task_show(project, &tasks, *form)));
            }
            Err(denied) => Err(vec![denied]),
        },
    };
    Reply::Response(response(&request.encode(), answer))
}

fn response(request: &str, answer: Answer) -> Response {
    match answer {
        Ok(lines) => {
            info!("done: {request}");
            Response::success(lines.join("\n"))
        }
        Err(denied) => {
            let kind = denied.first().map_or(ErrorKind::Internal, Denied::kind);
            refuse(kind, &denied)
        }
    }
}

/// The answer to what is not done, which goes to the log in the same words: as an error where the client is sent
/// there to look ("see reason details in messages"), whatever its level.
pub(crate) fn refuse<R: Display>(kind: ErrorKind, reasons: &[R]) -> Response {
    let response = Response::failure(kind, reasons);
    let words = response.text().replace('\n', "; ");
    if kind == ErrorKind::Internal {
        error!("refused: {words}");
    } else {
        warn!("refused: {words}");
    }
    response
}

fn read(path: &str) -> Result<ConfigFile, Vec<Denied>> {
    etmem_engine::load(Path::new(path)).map_err(refused)
}

fn listed(path: &str) -> Result<ListedObjects, Vec<Denied>> {
    etmem_engine::load_names(Path::new(path)).map_err(refused)
}

fn refused(error: ConfigError) -> Vec<Denied> {
    vec![Denied::Config(error)]
}

/// `file`, if all that it says is heeded.
fn nothing_ignored(file: ConfigFile) -> Result<ConfigFile, Vec<Denied>> {
    if file.warnings.is_empty() {
        Ok(file)
    } else {
        Err(file.warnings.into_iter().map(Denied::Ignored).collect())
    }
}

/// Adds what `file` lists; its warnings come first in the answer, and go to the log.
fn add(registry: &mut Registry, file: &ConfigFile) -> Answer {
    let mut lines: Vec<String> = file.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    for line in &lines {
        warn!("{line}");
    }
    lines.extend(registry.add(file).map_err(|denied| vec![denied])?);
    Ok(lines)
}
