//! From a request to its answer.

use crate::config_folder::ConfigFolder;
use crate::files::{Outcome, add, read, refused};
use crate::metrics::metrics;
use crate::registry::{CommandAnswer, Denied, Registry};
use crate::task_show::task_show;
use etmem_config::{ConfigFile, ListedObjects};
use etmem_engine::Question;
use etmem_wire::{ErrorKind, Request, Response, project_show};
use std::fmt::Display;
use std::path::Path;
use tracing::{error, info, warn};

/// What comes of a request.
pub(crate) enum Reply {
    /// The answer.
    Response(Response),
    /// The registry is done with it, and the answer takes time.
    Later(PendingAnswer),
}

/// The answer of an engine that does not answer at once.
pub(crate) struct PendingAnswer {
    request: String,
    question: Question,
}

impl PendingAnswer {
    /// Waits for it.
    pub(crate) fn wait(self) -> Response {
        let answer = (self.question)().map(|text| vec![text]);
        response(&self.request, answer.map_err(|refusal| vec![Denied::unplaced(refusal)]))
    }
}

/// Carries out `request`.
pub(crate) fn dispatch(
    registry: &mut Registry,
    folder: &mut Option<ConfigFolder>,
    request: &Request,
) -> Reply {
    let outcome = match request {
        Request::ObjAdd(file) => read(Path::new(file.as_str())).and_then(|file| add(registry, &file)),
        Request::ObjAddStrict(file) => {
            let file = read(Path::new(file.as_str())).and_then(nothing_ignored);
            file.and_then(|file| add(registry, &file))
        }
        Request::ObjAddKeep(file) => match folder {
            Some(folder) => folder.keep(registry, Path::new(file.as_str())),
            None => Err(vec![Denied::NoFolder]),
        },
        Request::ObjDiff(file) => read(Path::new(file.as_str())).and_then(|file| {
            let lines = registry.difference(&file).map_err(|denied| vec![denied])?;
            Ok(if lines.is_empty() { vec!["nothing is different".to_owned()] } else { lines })
        }),
        Request::Reload => match folder.as_mut().map(|folder| folder.reload(registry)) {
            // What was done and what was refused is in the log already.
            Some(Ok(lines)) => return Reply::Response(Response::success(lines.join("\n"))),
            Some(Err((kind, lines))) => return Reply::Response(Response::failure(kind, &lines)),
            None => Err(vec![Denied::NoFolder]),
        },
        Request::ObjDel(file) => listed(file.as_str()).and_then(|listed| registry.delete(&listed)),
        Request::ProjectAdd { name, file } => {
            etmem_config::load_older(Path::new(file.as_str()), name, &etmem_engine::keys())
                .map_err(refused)
                .and_then(|file| add(registry, &file))
        }
        Request::ProjectDel(name) => registry.delete_project(name).map_err(|denied| vec![denied]),
        Request::ProjectStart(name) => registry.start(name).map_err(|denied| vec![denied]),
        Request::ProjectStop(name) => registry.stop(name).map_err(|denied| vec![denied]),
        Request::ProjectShow { name, verbose } => {
            let shown = registry.show(name.as_ref(), *verbose);
            return Reply::Response(Response::success(project_show(&shown, name.as_ref())));
        }
        Request::Engine { project, engine, command, task } => {
            match registry.command(project, engine, command.as_str(), task.as_ref()) {
                Ok(CommandAnswer::Ready(text)) => Ok(vec![text]),
                Ok(CommandAnswer::Later(question)) => {
                    return Reply::Later(PendingAnswer { request: request.encode(), question });
                }
                Err(denied) => Err(vec![denied]),
            }
        }
        Request::Metrics(form) => {
            return Reply::Response(Response::success(metrics(
                &registry.all_tasks(),
                &registry.counters(),
                *form,
            )));
        }
        Request::TaskShow { project, task, form } => match registry.tasks(project, task.as_ref()) {
            Ok(tasks) => {
                return Reply::Response(Response::success(task_show(project, &tasks, *form)));
            }
            Err(denied) => Err(vec![denied]),
        },
    };
    Reply::Response(response(&request.encode(), outcome))
}

fn response(request: &str, outcome: Outcome) -> Response {
    match outcome {
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

/// The answer to a request that is refused. The same words go to the log: as an error, which every log level shows, if
/// the answer sends the client there ("see reason details in messages").
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

fn listed(path: &str) -> Result<ListedObjects, Vec<Denied>> {
    etmem_config::load_names(Path::new(path), &etmem_engine::keys()).map_err(refused)
}

/// `file`, if nothing in it is ignored.
fn nothing_ignored(file: ConfigFile) -> Result<ConfigFile, Vec<Denied>> {
    if file.warnings.is_empty() {
        Ok(file)
    } else {
        Err(file.warnings.into_iter().map(Denied::Ignored).collect())
    }
}
