//! From a request to its answer.

use crate::registry::{Denied, Registry};
use etmem_wire::{ErrorKind, Request, Response, project_show};
use std::fmt::Display;
use std::path::Path;
use tracing::{info, warn};

/// Carries out `request`.
pub(crate) fn dispatch(registry: &mut Registry, request: &Request) -> Response {
    let result = match request {
        Request::ObjAdd { file } => load(file.as_str()).and_then(|(config, mut text)| {
            text.extend(registry.add(&config).map_err(|denied| vec![denied])?);
            Ok(text)
        }),
        Request::ObjDel { file } => load(file.as_str()).and_then(|(config, text)| {
            registry.delete(&config)?;
            Ok(text)
        }),
        Request::ProjectStart { name } => registry.start(name).map_err(|denied| vec![denied]),
        Request::ProjectStop { name } => {
            registry.stop(name).map(|()| Vec::new()).map_err(|denied| vec![denied])
        }
        Request::ProjectShow { name } => {
            let shown = registry.show(name.as_ref());
            return Response::success(&project_show(&shown, name.as_ref()));
        }
        Request::Engine { project, engine, command, task } => registry
            .command(project, engine, command.as_str(), task.as_ref())
            .map(|text| vec![text])
            .map_err(|denied| vec![denied]),
    };
    match result {
        Ok(lines) => {
            info!("done: {}", request.encode());
            Response::success(&lines.join("\n"))
        }
        Err(denied) => {
            let kind = denied.first().map_or(ErrorKind::Internal, Denied::kind);
            refuse(kind, &denied)
        }
    }
}

/// The answer to what is not done, which goes to the log in the same words.
pub(crate) fn refuse<R: Display>(kind: ErrorKind, reasons: &[R]) -> Response {
    let response = Response::failure(kind, reasons);
    warn!("refused: {}", response.text().replace('\n', "; "));
    response
}

/// The file at `path`, and its warnings as lines for the client.
fn load(path: &str) -> Result<(etmem_config::ConfigFile, Vec<String>), Vec<Denied>> {
    let config = etmem_config::load(Path::new(path)).map_err(|error| vec![Denied::Config(error)])?;
    let warnings: Vec<String> = config.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    for warning in &warnings {
        warn!("{warning}");
    }
    Ok((config, warnings))
}
