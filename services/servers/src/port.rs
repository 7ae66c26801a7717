//! Ports of this machine: which are free, and who holds one that is not.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use crate::error::ServerError;

/// Below the range from which the system takes the ports of outgoing connections (32768 and up), so
/// that a server that is down for a moment finds its port still free.
const RANGE: std::ops::Range<u16> = 12_000..22_000;

/// How many ports are tried before [`ServerError::NoFreePort`].
const TRIES: usize = 200;

/// A port on which nothing listens at the moment; another process may still take it first.
pub fn free_port() -> Result<u16, ServerError> {
    random_port(is_free)
}

/// Like [`free_port`], and the port 10,000 above it is free as well: SeaweedFS opens both.
pub(crate) fn free_port_pair() -> Result<u16, ServerError> {
    random_port(|port| is_free(port) && is_free(port + 10_000))
}

fn random_port(fits: impl Fn(u16) -> bool) -> Result<u16, ServerError> {
    for _ in 0..TRIES {
        let random = crate::secret::random(2).map_err(ServerError::folder("/dev/urandom"))?;
        let number = u16::from_str_radix(&random[1..], 16).expect("two bytes in hex fit into u16");
        let port = RANGE.start + number % (RANGE.end - RANGE.start);
        if reserve(port) && fits(port) {
            return Ok(port);
        }
    }
    Err(ServerError::NoFreePort)
}

/// Keeps a port for this process among all that ask here, also while nothing listens on it. A folder that
/// cannot be used reserves nothing, and the port is as good as a random one is.
fn reserve(port: u16) -> bool {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("veza-ports");
    let open = || {
        std::fs::create_dir_all(&folder)?;
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(port.to_string()))
    };
    let Ok(file) = open() else { return true };
    let mine = file.try_lock().is_ok();
    if mine {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }
    mine
}

/// The given port if it is free, else the error that names who has it; a free one when none is given.
pub(crate) fn claim(server: &'static str, wanted: Option<u16>) -> Result<u16, ServerError> {
    match wanted {
        None => free_port(),
        Some(port) if is_free(port) => Ok(port),
        Some(port) => Err(busy(server, port)),
    }
}

pub(crate) fn busy(server: &'static str, port: u16) -> ServerError {
    ServerError::PortBusy {
        server,
        port,
        owner: owner(port).map(|owner| owner.to_string()),
    }
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Its process id.
    pub pid: u32,
    /// Its name as the system shows it.
    pub name: String,
}

impl std::fmt::Display for PortOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Who listens on `port`, if this user may see it (from `/proc`).
pub fn owner(port: u16) -> Option<PortOwner> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find_map(|pid: u32| {
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            let holds = files
                .flatten()
                .filter_map(|file| std::fs::read_link(file.path()).ok())
                .any(|target| {
                    target
                        .to_str()
                        .is_some_and(|target| inodes.iter().any(|inode| inode == target))
                });
            let name = || {
                std::fs::read_to_string(format!("/proc/{pid}/comm"))
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            };
            holds.then(|| PortOwner { pid, name: name() })
        })
}

/// Socket inodes of the listeners on `port` in a table of `/proc/net`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let mut suffix = String::new();
    write!(suffix, ":{port:04X}").expect("writing to a string cannot fail");
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| columns.len() > 9 && columns[1].ends_with(&suffix) && columns[3] == LISTEN)
        .map(|columns| columns[9].to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_with_its_process() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        assert_eq!(owner(port).unwrap().pid, std::process::id());
    }

    #[test]
    fn a_free_port_has_no_owner() {
        assert_eq!(owner(free_port().unwrap()), None);
    }

    #[test]
    fn connections_through_a_port_are_not_listeners() {
        let table = "  sl  local_address rem_address st\n\
            0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 111 1\n\
            1: 0100007F:1F90 0100007F:9C40 01 0:0 0:0 0 0 0 222 1\n";
        assert_eq!(listening_inodes(table, 8080), ["111"]);
    }
}
