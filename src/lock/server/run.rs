//! From the settings to a service that runs, and to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::desk::Desk;
use super::host;
use super::http::listen::Server;
use super::overdue;
use super::service::Service;
use super::settings::Settings;
use super::store::Store;
use crate::error::{Error, Result};
use crate::exit;
use crate::paths::Paths;

/// How long requests that are open at the end may take.
const END: Duration = Duration::from_secs(10);

/// Opens the store, listens, and serves until SIGTERM or SIGINT; on SIGHUP `read` is asked for other settings. `ready` is told
/// the addresses.
///
/// # Errors
/// If the store cannot be opened or an address is taken. Once it listens it ends only because it was told to, or because the store was
/// moved away.
pub fn run(
    paths: &Paths,
    settings: Settings,
    read: &dyn Fn() -> Result<Settings>,
    ready: &dyn Fn(&[std::net::SocketAddr]),
) -> Result<()> {
    let store = Store::open(&settings.store)?;
    let told = overdue::teller(paths.clone(), settings.overdue_hooks.clone())?;
    let (desk, clerk) = Desk::open(store, settings.terms(), told)?;
    let why = Error::io("start", "the desk");
    let (works, over) = oneshot::channel::<()>();
    let work = move || {
        let worked = clerk.work();
        drop(works);
        worked
    };
    let thread = std::thread::Builder::new().name("desk".into()).spawn(work).map_err(why)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("start", "the service"))?;
    let served = runtime.block_on(serve(desk, over, settings, read, ready));
    // Whoever hangs on a connection now hangs on nothing: with it goes the last way to the desk.
    drop(runtime);
    match thread.join() {
        Ok(worked) => worked.and(served),
        Err(_) => Err(Error::failed("stop", "the desk", "it has died before; what it had written is on disk")),
    }
}

async fn serve(
    desk: Desk,
    mut over: oneshot::Receiver<()>,
    settings: Settings,
    read: &dyn Fn() -> Result<Settings>,
    ready: &dyn Fn(&[std::net::SocketAddr]),
) -> Result<()> {
    let mut signals = Signals::new()?;
    let (end, ending) = watch::channel(false);
    let (alive, mut gone) = mpsc::channel(1);
    let (listen, limit) = (settings.listen.clone(), host::room_for(settings.connections));
    let service = Arc::new(Service::new(desk, settings, ending)?);
    let server = Server::new(Arc::clone(&service), limit, alive);
    let mut addresses = Vec::new();
    for address in listen {
        let listener = TcpListener::bind(address).await.map_err(Error::io("listen at", address.to_string()))?;
        addresses.push(listener.local_addr().map_err(Error::io("listen at", address.to_string()))?);
        tokio::spawn(server.clone().listen(listener));
    }
    drop(server);
    ready(&addresses);
    host::notify("READY=1");
    loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            // Nothing is answered any more.
            _ = &mut over => Wish::End,
        };
        if wish == Wish::End {
            break;
        }
        let changed = read().and_then(|settings| {
            settings.may_follow(&service.settings(), &addresses)?;
            service.change(settings)
        });
        match changed {
            Ok(()) => exit::note("the configuration was read again"),
            Err(error) => exit::warn(format_args!("{error}; the old configuration stays")),
        }
    }
    host::notify("STOPPING=1");
    // Nobody listens to it any more only if all have ended.
    let _ = end.send(true);
    let _ = tokio::time::timeout(END, gone.recv()).await;
    Ok(())
}

/// What a signal asks for.
#[derive(PartialEq, Eq)]
enum Wish {
    ReadAgain,
    End,
}

struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let catch = |kind| signal(kind).map_err(Error::io("wait for", "signals"));
        Ok(Self {
            term: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.term.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hangup.recv() => Wish::ReadAgain,
        }
    }
}
