//! Connecting and proving who we are.

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::BytesMut;
use mysql_common::constants::CapabilityFlags;
use mysql_common::crypto;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use tokio::net::{TcpStream, UnixStream};

use super::encrypt::encrypt;
use super::packets::{Io, Packets, server_error};
use crate::mysql::address::Address;
use crate::mysql::tls::TlsMode;

const UTF8MB4_GENERAL_CI: u8 = 45;
/// Told to the server; the log's events may be larger.
const PACKET_BYTES: u32 = 1 << 30;
/// The server's challenge, without the zero behind it.
const NONCE_BYTES: usize = 20;

const OK: u8 = 0x00;
const MORE_DATA: u8 = 0x01;
const SWITCH_PLUGIN: u8 = 0xfe;
const REFUSED: u8 = 0xff;
/// caching_sha2_password: the server remembers the password.
const SHA2_DONE: u8 = 3;
/// caching_sha2_password: the server wants the password itself.
const SHA2_FULL: u8 = 4;
const SHA2_ASK_KEY: u8 = 2;

/// Connects and logs in.
///
/// # Errors
/// As `connection::connect`.
pub(super) async fn login(address: &Address) -> Result<Packets> {
    let doing = || format!("connecting to {}", address.place());
    let unreachable = |error: std::io::Error| Error::new(ErrorKind::Unavailable, doing()).with_source(error);
    let io: Box<dyn Io> = match &address.socket {
        Some(path) => Box::new(UnixStream::connect(path).await.map_err(unreachable)?),
        None => {
            let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(unreachable)?;
            Box::new(stream)
        }
    };
    let mut packets = Packets::new(io, address.place().into_owned());
    let greeting = packets.read().await?;
    if greeting.first() == Some(&REFUSED) {
        return Err(packets.refused(server_error(&greeting)));
    }
    let greeting = ParseBuf(&greeting)
        .parse::<HandshakePacket<'_>>(())
        .map_err(|error| {
            Error::new(ErrorKind::Config, format!("{}: it is no MySQL server", doing())).with_source(error)
        })?
        .into_owned();
    let mut capabilities = CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    capabilities &= greeting.capabilities() | CapabilityFlags::CLIENT_LONG_PASSWORD;
    let mut is_private = address.socket.is_some();
    if address.socket.is_none() && address.tls.mode != TlsMode::Disabled {
        if greeting.capabilities().contains(CapabilityFlags::CLIENT_SSL) {
            capabilities |= CapabilityFlags::CLIENT_SSL;
            let mut request = Vec::new();
            SslRequest::new(capabilities, PACKET_BYTES, UTF8MB4_GENERAL_CI).serialize(&mut request);
            packets.write(&request).await?;
            packets = packets.encrypted(address).await?;
            is_private = true;
        } else if address.tls.mode != TlsMode::Preferred {
            return Err(crate::mysql::error::failed(
                mysql_async::Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer),
                doing(),
            ));
        }
    }
    let mut nonce = greeting.scramble_1_ref().to_vec();
    nonce.extend_from_slice(greeting.scramble_2_ref().unwrap_or_default());
    nonce.resize(NONCE_BYTES, 0);
    let plugin = match greeting.auth_plugin() {
        Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
        _ => AuthPlugin::MysqlNativePassword,
    };
    let mut proof = Proof { address, plugin, nonce, is_private };
    let answer = proof.answer();
    let mut response = Vec::new();
    HandshakeResponse::new(
        Some(answer),
        (8, 0, 0),
        Some(address.user.as_bytes().to_vec()),
        None::<Vec<u8>>,
        Some(proof.plugin.clone()),
        capabilities,
        None,
        PACKET_BYTES,
    )
    .serialize(&mut response);
    packets.write(&response).await?;
    proof.run(&mut packets).await?;
    Ok(packets)
}

impl Packets {
    async fn encrypted(self, address: &Address) -> Result<Self> {
        let place = self.place().to_owned();
        let (io, sequence) = self.into_parts();
        Ok(Self::new(encrypt(io, address).await?, place).at(sequence))
    }
}

/// The conversation about the password.
struct Proof<'a> {
    address: &'a Address,
    plugin: AuthPlugin<'static>,
    nonce: Vec<u8>,
    /// Nobody can listen.
    is_private: bool,
}

impl Proof<'_> {
    fn password(&self) -> Option<&str> {
        Some(self.address.password.expose()).filter(|password| !password.is_empty())
    }

    /// What the plugin answers to the challenge; nothing for an empty password.
    fn answer(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        if let Some(data) = self.plugin.gen_data(self.password(), &self.nonce) {
            data.serialize(&mut answer);
        }
        answer
    }

    async fn run(&mut self, packets: &mut Packets) -> Result<()> {
        loop {
            let packet = packets.read().await?;
            match (packet.first().copied(), &self.plugin) {
                (Some(OK), _) => return Ok(()),
                (Some(REFUSED), _) => return Err(packets.refused(server_error(&packet))),
                (Some(SWITCH_PLUGIN), _) => self.switch(packets, &packet).await?,
                (Some(MORE_DATA), AuthPlugin::CachingSha2Password) => self.sha2(packets, &packet).await?,
                (_, AuthPlugin::MariadbParsec { .. }) => self.parsec(packets, &packet).await?,
                _ => return Err(self.unexpected()),
            }
        }
    }

    async fn switch(&mut self, packets: &mut Packets, packet: &[u8]) -> Result<()> {
        let rest = packet.get(1..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        let plugin = AuthPlugin::from_bytes(&rest[..end]).into_owned();
        let nonce = rest.get(end + 1..).unwrap_or_default();
        self.nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
        let driver = |error| Err(crate::mysql::error::failed(mysql_async::Error::Driver(error), self.doing()));
        match &plugin {
            AuthPlugin::MysqlOldPassword => return driver(mysql_async::DriverError::MysqlOldPasswordDisabled),
            AuthPlugin::MysqlClearPassword => return driver(mysql_async::DriverError::CleartextPluginDisabled),
            AuthPlugin::Other(name) => {
                let name = String::from_utf8_lossy(name).into_owned();
                return driver(mysql_async::DriverError::UnknownAuthPlugin { name });
            }
            _ => {}
        }
        self.plugin = plugin;
        // Parsec first asks for its salt, with an empty packet.
        let is_parsec = matches!(self.plugin, AuthPlugin::MariadbParsec { .. });
        let answer = if is_parsec { Vec::new() } else { self.answer() };
        packets.write(&answer).await
    }

    async fn sha2(&mut self, packets: &mut Packets, packet: &BytesMut) -> Result<()> {
        match packet.get(1) {
            Some(&SHA2_DONE) => Ok(()),
            Some(&SHA2_FULL) => {
                let mut password = self.password().unwrap_or_default().as_bytes().to_vec();
                password.push(0);
                if !self.is_private {
                    packets.write(&[SHA2_ASK_KEY]).await?;
                    let key = packets.read().await?;
                    let key =
                        key.get(1..).filter(|key| key.starts_with(b"-----BEGIN")).ok_or_else(|| self.unexpected())?;
                    for (byte, mask) in password.iter_mut().zip(self.nonce.iter().cycle()) {
                        *byte ^= mask;
                    }
                    password = crypto::encrypt(&password, key);
                }
                packets.write(&password).await
            }
            _ => Err(self.unexpected()),
        }
    }

    async fn parsec(&mut self, packets: &mut Packets, packet: &[u8]) -> Result<()> {
        let salt = packet.strip_prefix(&[MORE_DATA]).unwrap_or(packet);
        self.plugin.read_add_data(salt).ok_or_else(|| self.unexpected())?;
        packets.write(&self.answer()).await
    }

    fn doing(&self) -> String {
        format!("connecting to {}", self.address.place())
    }

    fn unexpected(&self) -> Error {
        Error::new(ErrorKind::Auth, format!("{}: the server answered the login with something unknown", self.doing()))
            .with_setting("url")
    }
}
