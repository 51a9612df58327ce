//! The socket: many clients at once, each with a deadline, none able to hold up another.

use crate::client_slots::ClientSlots;
use crate::dispatch::{Asked, Reply, dispatch, refuse};
use crate::registry::{LONGEST_REQUEST, LOOK_AGAIN, Registry};
use crate::service::ServiceManager;
use etmem_core::kernel::pacer::Pacer;
use etmem_linux::pacer::SystemPacer;
use etmem_wire::{ErrorKind, Progress, Request, RequestReader, Response, SocketName};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

/// How long a client may take to send its request, and again to read its answer (the original client's own
/// timeout).
const DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait for more of a request that may be whole already.
const GRACE: Duration = Duration::from_millis(50);

/// Clients with a place at once; the others wait in the socket's queue until one is free or gives way.
const CLIENTS: usize = 512;

/// Threads that carry out requests: one, since the registry does one thing at a time. More would only wait for it,
/// and each would take memory for as long as it stays.
const ANSWERING: usize = 1;

/// Pause after the system had no descriptor for another client, which only time mends.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Somebody listens there.
    #[error(
        "socket @{0}: address in use: another etmemd listens there; stop it, or choose another name with -s"
    )]
    InUse(SocketName),
    /// Anything else.
    #[error("socket @{name}: {source}")]
    Io {
        /// The socket.
        name: SocketName,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens on the abstract socket `name`.
pub(crate) fn bind(name: &SocketName) -> Result<StdListener, BindError> {
    let listen = || {
        let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes())?)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::InUse(name.clone())
        } else {
            BindError::Io { name: name.clone(), source }
        }
    })
}

/// Serves clients until a signal says stop; gives the registry back.
///
/// `ready` is called once clients are answered and signals heeded. Where `manager` wants to know, it hears again and
/// again that requests are still carried out, and at last that they no longer are.
///
/// # Errors
/// What the system lacks, or what `ready` says.
pub(crate) fn serve(
    listener: StdListener,
    registry: Registry,
    manager: &ServiceManager,
    ready: impl FnOnce() -> Result<(), String>,
) -> Result<Registry, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(ANSWERING)
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let registry = Arc::new(Mutex::new(registry));
    runtime.block_on(until_signal(listener, &registry, manager, ready))?;
    // Ends what is left of the clients.
    runtime.shutdown_timeout(Duration::from_millis(100));
    alone(registry)
}

/// The registry, once the request that is being carried out lets go of it: it may wait for a plugin, and only behind it all
/// tasks can be ended in order and what they set be taken back.
fn alone<S>(mut registry: Arc<Mutex<S>>) -> Result<S, String> {
    let clock = SystemPacer::new();
    loop {
        registry = match Arc::try_unwrap(registry) {
            Ok(registry) => return Ok(registry.into_inner().unwrap_or_else(PoisonError::into_inner)),
            Err(shared) => shared,
        };
        // What holds it longer than any request may is a bug.
        if clock.now() > LONGEST_REQUEST {
            return Err("a request does not end".to_owned());
        }
        let _ = clock.pause(LOOK_AGAIN);
    }
}

async fn until_signal(
    listener: StdListener,
    registry: &Arc<Mutex<Registry>>,
    manager: &ServiceManager,
    ready: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let cannot = |error: io::Error| format!("cannot serve: {error}");
    let listener = UnixListener::from_std(listener).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    ready()?;
    info!("listening");
    tokio::select! {
        _ = interrupt.recv() => info!("interrupted: stopping"),
        _ = terminate.recv() => info!("terminated: stopping"),
        () = accept(&listener, registry) => {}
        () = keep_watch(registry, manager.watchdog_period(), || manager.alive()) => {}
    }
    manager.stopping();
    Ok(())
}

/// Calls `alive` every `period`, for as long as requests are carried out: it goes the way of one that changes nothing.
/// Without a period it never wakes up.
async fn keep_watch<S: Send + 'static>(
    registry: &Arc<Mutex<S>>,
    period: Option<Duration>,
    mut alive: impl FnMut(),
) {
    let Some(period) = period else { return std::future::pending().await };
    loop {
        tokio::time::sleep(period).await;
        let registry = Arc::clone(registry);
        let request = move || drop(registry.lock().unwrap_or_else(PoisonError::into_inner));
        if tokio::task::spawn_blocking(request).await.is_ok() {
            alive();
        }
    }
}

async fn accept(listener: &UnixListener, registry: &Arc<Mutex<Registry>>) {
    let slots = ClientSlots::new(CLIENTS);
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let Some(slot) = slots.take().await else { return };
                let (registry, slots) = (Arc::clone(registry), slots.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve_client(client, registry, &slots).await {
                        debug!("client: {error}");
                    }
                    if slots.leave(slot) {
                        etmem_linux::give_back_free_memory();
                    }
                });
            }
            Err(error) => {
                error!("cannot accept a client: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Serves one client. Whoever is not root gets no answer, as from the original.
async fn serve_client(
    mut client: UnixStream,
    registry: Arc<Mutex<Registry>>,
    slots: &ClientSlots,
) -> io::Result<()> {
    let peer = client.peer_cred()?;
    if peer.uid() != 0 || peer.gid() != 0 {
        warn!("refused a client that is not root: user {} group {}", peer.uid(), peer.gid());
        return Ok(());
    }
    let response = match slots.wait_for(DEADLINE, read_request(&mut client)).await {
        Ok(request) => match request? {
            Ok(request) => answer(request, registry).await,
            Err(reason) => refuse(ErrorKind::InvalidParameters, &[reason]),
        },
        Err(end) => refuse(ErrorKind::InvalidParameters, &[format!("the request was not complete {end}")]),
    };
    let bytes = response.encode();
    slots.wait_for(DEADLINE, client.write_all(&bytes)).await.map_err(io::Error::other)??;
    client.shutdown().await
}

/// Carries out a request on a thread of its own: it may read files and ask the kernel.
async fn answer(request: Request, registry: Arc<Mutex<Registry>>) -> Response {
    let done = tokio::task::spawn_blocking(move || {
        // Requests change the registry as a whole or not at all, so one that panicked leaves it sound.
        dispatch(&mut registry.lock().unwrap_or_else(PoisonError::into_inner), &request)
    });
    match done.await {
        Ok(Reply::Response(response)) => response,
        Ok(Reply::Asked(asked)) => answer_apart(asked).await,
        Err(error) => refuse(ErrorKind::Internal, &[error.to_string()]),
    }
}

/// Waits for an engine's answer on a thread for it alone: everybody else goes on meanwhile.
async fn answer_apart(asked: Asked) -> Response {
    let (tell, told) = tokio::sync::oneshot::channel();
    // Nobody listens any more where the daemon ends meanwhile.
    let answer = move || drop(tell.send(asked.answer()));
    match std::thread::Builder::new().name("etmemd-answer".to_owned()).spawn(answer) {
        Ok(_) => told.await.unwrap_or_else(|error| refuse(ErrorKind::Internal, &[error.to_string()])),
        Err(error) => refuse(ErrorKind::Internal, &[format!("cannot start a thread: {error}")]),
    }
}

/// A request, or why the bytes are none.
async fn read_request(client: &mut UnixStream) -> io::Result<Result<Request, String>> {
    let mut reader = RequestReader::new();
    let mut buffer = [0; 1024];
    let mut progress = Progress::Incomplete;
    loop {
        let length = match progress {
            Progress::Settled => break,
            Progress::Incomplete => client.read(&mut buffer).await?,
            Progress::MayGrow => match timeout(GRACE, client.read(&mut buffer)).await {
                Ok(length) => length?,
                Err(_) => break,
            },
        };
        if length == 0 {
            break;
        }
        progress = reader.feed(&buffer[..length]);
    }
    Ok(reader.finish().map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const PERIOD: Duration = Duration::from_millis(2);

    /// Lets the watch run until `enough` of what it called `alive` for.
    fn watch_until(
        registry: &Arc<Mutex<()>>,
        period: Option<Duration>,
        limit: Duration,
        enough: usize,
    ) -> usize {
        let calls = AtomicUsize::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
            let watch = keep_watch(registry, period, || {
                calls.fetch_add(1, Ordering::Relaxed);
                told.send(()).unwrap();
            });
            let count = async {
                for _ in 0..enough {
                    heard.recv().await;
                }
            };
            tokio::select! {
                () = watch => {}
                () = count => {}
                () = tokio::time::sleep(limit) => {}
            }
        });
        // A request that waits for the registry outlives the watch.
        runtime.shutdown_background();
        calls.into_inner()
    }

    #[test]
    fn a_daemon_that_answers_is_alive_again_and_again() {
        let registry = Arc::new(Mutex::new(()));
        assert_eq!(watch_until(&registry, Some(PERIOD), Duration::from_secs(60), 3), 3);
    }

    #[test]
    fn a_daemon_whose_registry_is_stuck_is_not() {
        let registry = Arc::new(Mutex::new(()));
        let stuck = registry.lock().unwrap();
        assert_eq!(watch_until(&registry, Some(PERIOD), 50 * PERIOD, 1), 0);
        drop(stuck);
        assert_eq!(watch_until(&registry, Some(PERIOD), Duration::from_secs(60), 1), 1);
    }

    #[test]
    fn nobody_who_did_not_ask_is_told() {
        assert_eq!(watch_until(&Arc::default(), None, 10 * PERIOD, 1), 0);
    }
}
