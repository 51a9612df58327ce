//! The socket: many clients at once, each with a deadline; none can delay another.

use crate::client_slots::ClientSlots;
use crate::dispatch::{PendingAnswer, Reply, refuse};
use crate::metrics_file;
use crate::options::MetricsFile;
use crate::registry_thread::RegistryHandle;
use crate::service::ServiceManager;
use etmem_linux::unix_socket;
use etmem_wire::{ErrorKind, Progress, Request, RequestReader, Response, SocketName};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

/// How long a client may take to send its request, and again to read its answer (the original client's own
/// timeout).
const DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait for more of a request that may be complete already.
const GRACE: Duration = Duration::from_millis(50);

/// Clients with a slot at once; the others wait in the socket's queue until one leaves or gives way.
const CLIENTS: usize = 512;

/// As many clients may wait in that queue as `net.core.somaxconn` allows.
const QUEUE: i32 = -1;

/// Pause after the system had no descriptor for another client.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Another process listens there.
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

/// The socket that a daemon owns; nothing can connect to it yet.
#[derive(Debug)]
pub(crate) struct Bound {
    name: SocketName,
    socket: OwnedFd,
}

/// Takes the abstract socket `name`, so that no other daemon has it.
pub(crate) fn bind(name: &SocketName) -> Result<Bound, BindError> {
    let bound = || {
        let socket = unix_socket::stream()?;
        rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        Ok(socket)
    };
    let socket = bound().map_err(|errno| BindError::of(name, errno))?;
    Ok(Bound { name: name.clone(), socket })
}

impl Bound {
    /// Lets clients connect.
    pub(crate) fn listen(self) -> Result<StdListener, BindError> {
        let listens = rustix::net::listen(&self.socket, QUEUE);
        listens.map_err(|errno| BindError::of(&self.name, errno))?;
        Ok(self.socket.into())
    }
}

impl BindError {
    fn of(name: &SocketName, errno: Errno) -> Self {
        let name = name.clone();
        if errno == Errno::ADDRINUSE { Self::InUse(name) } else { Self::Io { name, source: errno.into() } }
    }
}

/// Serves clients until a signal says stop.
///
/// `ready` is called when clients are answered and signals are handled. If `manager` has a watchdog, it is notified for as
/// long as requests are carried out, and at last that they no longer are. Meanwhile `metrics_file` is written.
///
/// # Errors
/// What the system lacks, or what `ready` says.
pub(crate) fn serve(
    listener: StdListener,
    registry: &RegistryHandle,
    manager: &ServiceManager,
    metrics_file: Option<&MetricsFile>,
    ready: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    // Clients that are left end with the runtime.
    runtime.block_on(async {
        let cannot = |error: io::Error| format!("cannot serve: {error}");
        let listener = UnixListener::from_std(listener).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(cannot)?;
        ready()?;
        info!("listening");
        tokio::select! {
            _ = interrupt.recv() => info!("interrupted: stopping"),
            _ = terminate.recv() => info!("terminated: stopping"),
            () = accept(&listener, registry) => {}
            () = reload_at(&mut hang_up, registry, manager) => {}
            () = metrics_file::keep(metrics_file, registry) => {}
            () = keep_watch(registry, manager.watchdog_period(), || manager.alive()) => {}
        }
        manager.stopping();
        if let Some(file) = metrics_file {
            file.remove();
        }
        Ok(())
    })
}

/// Has the files of the folder read again at each signal.
async fn reload_at(signal: &mut Signal, registry: &RegistryHandle, manager: &ServiceManager) {
    loop {
        if signal.recv().await.is_none() {
            return std::future::pending().await;
        }
        info!("hung up: reading the files of the folder again");
        manager.reloading();
        // What came of it is in the log.
        let _ = registry.carry_out(Request::Reload).await;
        manager.reloaded();
    }
}

/// Calls `alive` every `period`, for as long as requests are carried out: it asks the thread that does so. Without a
/// period it never wakes up.
async fn keep_watch(registry: &RegistryHandle, period: Option<Duration>, mut alive: impl FnMut()) {
    let Some(period) = period else { return std::future::pending().await };
    loop {
        tokio::time::sleep(period).await;
        if registry.is_alive().await {
            alive();
        }
    }
}

async fn accept(listener: &UnixListener, registry: &RegistryHandle) {
    let slots = ClientSlots::new(CLIENTS);
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let Some(slot) = slots.take().await else { return };
                let (registry, slots) = (registry.clone(), slots.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve_client(client, &registry, &slots).await {
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

/// Serves one client. One that is not root gets no answer, as from the original.
async fn serve_client(
    mut client: UnixStream,
    registry: &RegistryHandle,
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

/// Has a request carried out.
async fn answer(request: Request, registry: &RegistryHandle) -> Response {
    match registry.carry_out(request).await {
        Some(Reply::Response(response)) => response,
        Some(Reply::Later(pending)) => answer_apart(pending).await,
        None => refuse(ErrorKind::Internal, &["a fault of etmemd: see its log and its standard error"]),
    }
}

/// Waits for an engine's answer on a thread of its own, so that other requests are carried out meanwhile.
async fn answer_apart(pending: PendingAnswer) -> Response {
    let (sender, answer) = tokio::sync::oneshot::channel();
    // The server may have stopped by the time of the answer.
    let wait = move || drop(sender.send(pending.wait()));
    match std::thread::Builder::new().name("etmemd-answer".to_owned()).spawn(wait) {
        Ok(_) => answer.await.unwrap_or_else(|error| refuse(ErrorKind::Internal, &[error.to_string()])),
        Err(error) => refuse(ErrorKind::Internal, &[format!("cannot start a thread: {error}")]),
    }
}

/// A request, or why the bytes are not one.
async fn read_request(client: &mut UnixStream) -> io::Result<Result<Request, String>> {
    let mut reader = RequestReader::default();
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
    use crate::registry_thread;

    const PERIOD: Duration = Duration::from_millis(2);

    /// Watches until `enough` calls of `alive` or for `limit`; how many there were.
    fn watch_until(
        registry: &RegistryHandle,
        period: Option<Duration>,
        limit: Duration,
        enough: usize,
    ) -> usize {
        let calls = std::cell::Cell::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (sender, mut called) = tokio::sync::mpsc::unbounded_channel();
            let watch = keep_watch(registry, period, || {
                calls.set(calls.get() + 1);
                sender.send(()).unwrap();
            });
            let count = async {
                for _ in 0..enough {
                    called.recv().await;
                }
            };
            tokio::select! {
                () = watch => {}
                () = count => {}
                () = tokio::time::sleep(limit) => {}
            }
        });
        calls.into_inner()
    }

    #[test]
    fn the_watchdog_is_notified_while_requests_are_carried_out() {
        let (registry, messages) = RegistryHandle::with_messages();
        assert_eq!(watch_until(&registry, Some(PERIOD), 50 * PERIOD, 1), 0, "the registry is stuck");
        let thread = std::thread::spawn(move || registry_thread::answer(&messages, |_| panic!("no request")));
        assert_eq!(watch_until(&registry, Some(PERIOD), Duration::from_secs(60), 3), 3);
        drop(registry);
        thread.join().unwrap();
        let (registry, messages) = RegistryHandle::with_messages();
        drop(messages);
        assert_eq!(watch_until(&registry, Some(PERIOD), 10 * PERIOD, 1), 0, "the registry is gone");
    }

    #[test]
    fn without_a_watchdog_nothing_is_asked() {
        let (registry, messages) = RegistryHandle::with_messages();
        assert_eq!(watch_until(&registry, None, 10 * PERIOD, 1), 0);
        assert!(messages.try_recv().is_err());
    }
}
