//! What the machine gives the service: descriptors, and an init system that wants to know when it is ready.

use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};

use crate::exit;

/// Descriptors that are no connections: the store, listeners, logs, hooks.
const OURS: u64 = 64;

/// Raises the limit of open files as far as it goes, and says how many of `wanted` connections there can be.
pub fn room_for(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    // Root may go beyond the hard limit; others are let up to it.
    let needed = (wanted as u64).saturating_add(OURS).max(hard);
    let raise = |files| setrlimit(Resource::RLIMIT_NOFILE, files, files).is_ok().then_some(files);
    let files = raise(needed).or_else(|| raise(hard)).unwrap_or(soft);
    let room = usize::try_from(files.saturating_sub(OURS)).unwrap_or(usize::MAX).max(1);
    if room < wanted {
        exit::warn(format_args!(
            "there is room for {room} of {wanted} connections: the limit of open files is {files}"
        ));
    }
    wanted.min(room)
}

/// Has the kernel ask, tcp(7), whether the other end of a silent connection is still there: a host that lost its power while it
/// waited is found out within a minute, and offered nothing.
pub fn keep_alive(connection: &impl AsFd) {
    // A kernel that cannot do it leaves us with the end of the wait.
    let _ = setsockopt(connection, sockopt::KeepAlive, &true);
    let _ = setsockopt(connection, sockopt::TcpKeepIdle, &30);
    let _ = setsockopt(connection, sockopt::TcpKeepInterval, &10);
    let _ = setsockopt(connection, sockopt::TcpKeepCount, &3);
}

/// Tells systemd how the service stands, `sd_notify(3)`; others did not ask.
pub fn notify(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.to_string_lossy();
    let address = match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(name.as_ref()),
    };
    let told = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(why) = told {
        exit::warn(format_args!("cannot tell {name} {state}: {why}"));
    }
}
