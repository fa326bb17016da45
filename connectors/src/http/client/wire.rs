//! One request and its answer: HTTP/1.1 over a connected stream (RFC 9112).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Most headers of an answer.
const HEADERS_MAX: usize = 128;
/// Longest head of an answer, and longest line of a chunk.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How much is read at a time.
const READ_BYTES: usize = 16 << 10;

/// What carries bytes: TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection, and what was read of it but not used yet.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// What a service answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers as they came.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All words of the headers of that name, in lower case.
    fn words(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        values.flat_map(|(_, value)| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect()
    }
}

/// An answer, and whether the connection may be used again.
pub(super) struct Exchanged {
    pub answer: Answer,
    pub is_reusable: bool,
}

/// How a body ends.
enum Body {
    None,
    Length(usize),
    Chunks,
    Close,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

impl Line {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// `UnexpectedEof` when the answer is cut; `InvalidData` when it is no HTTP/1; `FileTooLarge` when the body is longer
    /// than `bytes_max`; those of the connection.
    pub(super) async fn exchange(
        &mut self,
        head: &[u8],
        body: &[u8],
        is_head: bool,
        bytes_max: usize,
    ) -> io::Result<Exchanged> {
        self.stream.write_all(head).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let (mut answer, version) = loop {
            let (answer, version) = self.head().await?;
            // 1xx come before the answer proper.
            if answer.status >= 200 {
                break (answer, version);
            }
        };
        let ends = ending(&answer, is_head)?;
        let closes = matches!(ends, Body::Close)
            || version == 0
            || answer.words("connection").iter().any(|word| word == "close");
        answer.body = match ends {
            Body::None => Vec::new(),
            Body::Length(length) if length > bytes_max => return Err(too_large()),
            Body::Length(length) => self.take(length).await?,
            Body::Chunks => self.chunks(bytes_max).await?,
            Body::Close => self.rest(bytes_max).await?,
        };
        Ok(Exchanged { answer, is_reusable: !closes && self.buffer.is_empty() })
    }

    /// Reads more; false at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = self.stream.read(&mut self.buffer[before..]).await;
        self.buffer.truncate(before + read.as_ref().copied().unwrap_or(0));
        read.map(|read| read > 0)
    }

    async fn fill_or_cut(&mut self) -> io::Result<()> {
        if self.fill().await? {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut"))
        }
    }

    async fn head(&mut self) -> io::Result<(Answer, u8)> {
        loop {
            if let Some((used, answer, version)) = parse_head(&self.buffer)? {
                self.buffer.drain(..used);
                return Ok((answer, version));
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("the head of the answer is too long"));
            }
            self.fill_or_cut().await?;
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill_or_cut().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn rest(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        while self.fill().await? {
            if self.buffer.len() > bytes_max {
                return Err(too_large());
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// A line without its end.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let mut line = self.take(end + 1).await?;
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("a line of the answer is too long"));
            }
            self.fill_or_cut().await?;
        }
    }

    async fn chunks(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = std::str::from_utf8(&line).unwrap_or_default().split(';').next().unwrap_or_default().trim();
            let is_hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = usize::from_str_radix(size, 16).ok().filter(|_| is_hex);
            let size = size.ok_or_else(|| invalid("a chunk of the answer has no size"))?;
            if size == 0 {
                // Trailers say nothing that is used here.
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if size > bytes_max - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&self.take(size).await?);
            if !self.line().await?.is_empty() {
                return Err(invalid("a chunk of the answer is longer than it says"));
            }
        }
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the answer is larger than `client.max_response`")
}

/// The head at the beginning of the bytes, once it is there as a whole.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, Answer, u8)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(used)) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = head.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
            let status = head.code.ok_or_else(|| invalid("the answer has no status"))?;
            Ok(Some((used, Answer { status, headers, body: Vec::new() }, head.version.unwrap_or(0))))
        }
        Err(error) => Err(invalid(&format!("the answer is no HTTP/1: {error}"))),
    }
}

/// How the body ends (RFC 9112, section 6.3).
fn ending(answer: &Answer, is_head: bool) -> io::Result<Body> {
    if is_head || matches!(answer.status, 204 | 304) {
        return Ok(Body::None);
    }
    let coding = answer.words("transfer-encoding");
    let lengths = answer.words("content-length");
    if !coding.is_empty() {
        return if coding == ["chunked"] && lengths.is_empty() {
            Ok(Body::Chunks)
        } else {
            Err(invalid("the answer has a transfer coding that was not asked for"))
        };
    }
    let Some(first) = lengths.first() else { return Ok(Body::Close) };
    let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || lengths.iter().any(|length| length != first) {
        return Err(invalid("the answer does not say how long it is"));
    }
    first.parse().map(Body::Length).map_err(|_| too_large())
}
