//! A TCP proxy that breaks connections in the ways that networks do: for `aqueduct torture` and for tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a waiting pump looks whether it is to end or its fault has changed.
const TICK: Duration = Duration::from_millis(5);
const BUFFER_BYTES: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What goes wrong, for every connection from now on and for those that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// New connections are closed at once; open ones are cut.
    Refuse,
    /// Each connection that is opened from now on is cut after this many bytes in a direction.
    CutAfter(Direction, u64),
    /// Each piece waits this long before it is passed on.
    Delay(Duration),
    /// At most this many bytes a second in each direction.
    Throttle(u64),
    /// Nothing is read or passed on any more, in either direction, and nobody is told.
    HalfOpen,
    /// The byte at this place of each connection that is opened from now on is inverted.
    Corrupt(Direction, u64),
    /// The server hears everything and its answers are lost; the connection is cut when the first would be passed.
    DropReply,
}

/// A proxy on a port of its own; ends with the value.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: String,
    fault: Mutex<Fault>,
    ended: AtomicBool,
    accepted: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Shared {
    fn fault(&self) -> MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) {
        for stream in self.open().drain(..) {
            // An error says that it is cut already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    /// A proxy that passes everything on to a port of 127.0.0.1; for tests.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn to(server: u16) -> Self {
        Self::start(format!("127.0.0.1:{server}")).expect("a free port")
    }

    /// A proxy that passes everything on to `host:port`. Its own port is one of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            server,
            fault: Mutex::new(Fault::None),
            ended: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { port, shared })
    }

    /// Where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What goes wrong from now on.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault() = fault;
        if fault == Fault::Refuse {
            self.shared.cut();
        }
    }

    /// Cuts every open connection, in the middle of whatever it does; new ones are passed as before.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.cut();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.ended.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if *shared.fault() != Fault::Refuse {
                    connect(client, shared);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(TICK),
            Err(_) => return,
        }
    }
}

fn connect(client: TcpStream, shared: &Arc<Shared>) {
    // A server that is down shows as a connection that is closed at once.
    let Ok(server) = TcpStream::connect(&shared.server) else { return };
    let fault = *shared.fault();
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_read_timeout(Some(TICK));
    }
    let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
    let (Ok(client3), Ok(server3)) = (client.try_clone(), server.try_clone()) else { return };
    {
        let mut open = shared.open();
        // Connections that ended are forgotten.
        open.retain(|stream| stream.peer_addr().is_ok());
        open.extend([client3, server3]);
    }
    for (from, to, direction) in [(client, server2, Direction::ToServer), (server, client2, Direction::ToClient)] {
        let pump = Pump { from, to, direction, born_with: fault, passed: 0, shared: shared.clone() };
        std::thread::spawn(move || pump.run());
    }
}

/// Carries one direction of one connection.
struct Pump {
    from: TcpStream,
    to: TcpStream,
    direction: Direction,
    /// The fault when the connection was opened: counts of bytes are a connection's own.
    born_with: Fault,
    passed: u64,
    shared: Arc<Shared>,
}

impl Pump {
    fn run(mut self) {
        let mut buffer = vec![0; BUFFER_BYTES];
        while !self.shared.ended.load(Ordering::Relaxed) {
            if *self.shared.fault() == Fault::HalfOpen {
                std::thread::park_timeout(TICK);
                continue;
            }
            match self.from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    if self.pass(&mut buffer[..length]).is_none() {
                        break;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        let _ = self.from.shutdown(Shutdown::Both);
        let _ = self.to.shutdown(Shutdown::Both);
    }

    /// `None` when the connection is to end.
    fn pass(&mut self, piece: &mut [u8]) -> Option<()> {
        let (begin, end) = (self.passed, self.passed + piece.len() as u64);
        self.passed = end;
        let fault = *self.shared.fault();
        match fault {
            Fault::HalfOpen => {
                // Read before the fault came, and lost by it.
                return Some(());
            }
            Fault::Delay(pause) => wait(pause),
            Fault::Throttle(bytes) => wait(Duration::from_secs_f64(piece.len() as f64 / bytes.max(1) as f64)),
            Fault::DropReply if self.direction == Direction::ToClient => return None,
            _ => {}
        }
        match self.born_with {
            Fault::CutAfter(direction, at) if direction == self.direction && at < end => {
                let _ = self.to.write_all(&piece[..at.saturating_sub(begin) as usize]);
                return None;
            }
            Fault::Corrupt(direction, at) if direction == self.direction && (begin..end).contains(&at) => {
                piece[(at - begin) as usize] ^= 0xff;
            }
            _ => {}
        }
        self.to.write_all(piece).ok()
    }
}

fn wait(pause: Duration) {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
