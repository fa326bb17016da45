//! A socket that can be left alone: while it rests, what arrives wakes nobody.
//!
//! A watched socket wakes its task with every segment, also when the task has said that it reads later. A server that
//! sends each change by itself then costs more in wake-ups than in decoding.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A socket that wakes its task, and can be left alone.
pub(super) trait Watched: AsyncRead + AsyncWrite + Unpin + Sized {
    type Alone: Unpin;

    fn leave(self) -> io::Result<Self::Alone>;

    fn watch(socket: Self::Alone) -> io::Result<Self>;
}

impl Watched for TcpStream {
    type Alone = std::net::TcpStream;

    fn leave(self) -> io::Result<Self::Alone> {
        self.into_std()
    }

    fn watch(socket: Self::Alone) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

impl Watched for UnixStream {
    type Alone = std::os::unix::net::UnixStream;

    fn leave(self) -> io::Result<Self::Alone> {
        self.into_std()
    }

    fn watch(socket: Self::Alone) -> io::Result<Self> {
        Self::from_std(socket)
    }
}

/// See the module.
pub(super) struct Socket<S: Watched> {
    state: State<S>,
}

enum State<S: Watched> {
    Watched(S),
    Resting(S::Alone),
    /// It could not be left, or watched again.
    Lost,
}

impl<S: Watched> Socket<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { state: State::Watched(socket) }
    }

    /// Leaves it alone until it is read or written again.
    ///
    /// # Errors
    /// Those of the system; then the socket is gone.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Watched(socket) => State::Resting(socket.leave()?),
            state => state,
        };
        Ok(())
    }

    fn watched(&mut self) -> io::Result<Pin<&mut S>> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Resting(socket) => State::Watched(S::watch(socket)?),
            state => state,
        };
        match &mut self.state {
            State::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Watched> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_read(cx, buf)
    }
}

impl<S: Watched> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_came_during_a_rest_is_read_after_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut socket = Socket::new(ours);
        socket.write_all(b"ask").await.unwrap();
        let mut asked = [0; 3];
        theirs.read_exact(&mut asked).await.unwrap();
        for part in [&b"one"[..], b"two", b"three"] {
            socket.rest().unwrap();
            theirs.write_all(part).await.unwrap();
            let mut read = vec![0; part.len()];
            socket.read_exact(&mut read).await.unwrap();
            assert_eq!(read, part);
        }
        let nothing = tokio::time::timeout(Duration::from_millis(10), socket.read_u8()).await;
        assert!(nothing.is_err(), "a read waits for what is not there");
        socket.rest().unwrap();
        drop(theirs);
        assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0, "the end is seen too");
    }
}
