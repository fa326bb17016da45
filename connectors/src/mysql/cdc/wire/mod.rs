//! The connection that the binary log comes over: raw events, as the server sends them.
//!
//! Not the client library's: that one decodes every event a second time, panics at a cut one, goes on behind a
//! compressed transaction that it cannot read, and holds such a transaction whole in memory. Queries still use it.

mod encrypt;
mod login;
mod packets;
mod request;

use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::{Buf, BytesMut};

use crate::mysql::address::Address;

pub(crate) use packets::ServerRefusal;
use packets::{Packets, server_error};
pub(crate) use request::DumpFrom;

/// First byte of a packet that holds an event.
const EVENT: u8 = 0x00;
/// First byte of a packet that ends the log (the server shuts down, or ended this reader).
const END: u8 = 0xfe;
/// First byte of a refusal.
const REFUSED: u8 = 0xff;

/// How long login and the statements before the log may take.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The binary log, arriving.
pub(crate) struct Wire {
    packets: Packets,
}

/// What came instead of an event.
#[derive(Debug)]
pub(crate) enum WireError {
    /// The server's own words.
    Refused(ServerRefusal),
    /// The connection, or something that is not a log.
    Broken(Error),
}

impl From<Error> for WireError {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl Wire {
    /// Connects, logs in, runs `statements` and asks for the log.
    ///
    /// # Errors
    /// As `connection::connect`. A refusal of the place itself comes with the first event.
    pub(crate) async fn open(
        address: &Address,
        statements: &[String],
        server_id: u32,
        from: &DumpFrom,
    ) -> Result<Self> {
        let opening = async {
            let mut packets = login::login(address).await?;
            for statement in statements {
                packets.command(&request::query(statement)).await?;
            }
            packets.command(&request::register(server_id)).await?;
            packets.begin();
            packets.write(&request::dump(server_id, from)).await?;
            Ok(Self { packets })
        };
        match tokio::time::timeout(START_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{} did not start to send its binary log within {} seconds",
                    address.place(),
                    START_TIMEOUT.as_secs()
                ),
            )),
        }
    }

    /// The next event as it is in the log, header and checksum included, when it is already here.
    pub(crate) fn buffered(&mut self) -> Result<Option<BytesMut>, WireError> {
        match self.packets.buffered()? {
            Some(packet) => event(packet).map(Some),
            None => Ok(None),
        }
    }

    /// Waits for the next event. May be dropped and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<BytesMut, WireError> {
        event(self.packets.read().await?)
    }

    /// Closes the connection.
    pub(crate) async fn close(self) {
        self.packets.close().await;
    }
}

fn event(mut packet: BytesMut) -> Result<BytesMut, WireError> {
    match packet.first() {
        Some(&EVENT) => {
            packet.advance(1);
            Ok(packet)
        }
        Some(&REFUSED) => Err(WireError::Refused(server_error(&packet))),
        Some(&END) => Err(Error::new(ErrorKind::Unavailable, "the server ended the binary log's connection").into()),
        _ => {
            Err(Error::new(ErrorKind::Unavailable, "the server sent a packet that is no event of the binary log")
                .into())
        }
    }
}
