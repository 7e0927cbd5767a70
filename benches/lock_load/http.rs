//! One kept connection: a request, then its answer. No more of HTTP/1.1 (RFC 9112) than both services use.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Result;

/// See above.
pub struct Connection {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects; `headers` are sent with each request, each with its line end.
    pub async fn open(address: SocketAddr, headers: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!("HTTP/1.1\r\nhost: {address}\r\n{headers}");
        Ok(Self { stream, head, buffer: Vec::with_capacity(1024) })
    }

    /// Asks; the body of an answer that is 200.
    pub async fn post(&mut self, path: &str, body: &[u8]) -> Result<&[u8]> {
        self.ask("POST", path, body).await
    }

    /// As [`Connection::post`].
    pub async fn get(&mut self, path: &str) -> Result<&[u8]> {
        self.ask("GET", path, b"").await
    }

    async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Result<&[u8]> {
        let length = body.len();
        let mut request = format!("{method} {path} {}content-length: {length}\r\n\r\n", self.head).into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        self.answer(path).await
    }

    async fn answer(&mut self, path: &str) -> Result<&[u8]> {
        self.buffer.clear();
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.ok_or("an answer says nothing of its length")?.trim().parse()?;
        while self.buffer.len() < end + length {
            self.more().await?;
        }
        let body = &self.buffer[end..end + length];
        if head.get(9..12) != Some("200") {
            let status = head.lines().next().unwrap_or_default();
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(body)).into());
        }
        Ok(body)
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the service has closed the connection".into()),
            _ => Ok(()),
        }
    }
}
