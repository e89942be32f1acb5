//! HTTP/1.1 over one connection that stays open, as far as a load needs it.

use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request as it goes over the wire.
#[must_use]
pub fn post(path: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A request without a body.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// The answer as far as it has come.
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nothing listens there.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request of [`post`] and waits for its whole answer.
    ///
    /// # Errors
    /// If the connection breaks, or the answer is none that this client reads.
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, from, to)) = complete(&self.buffer)? {
                return Ok(Answer { status, body: &self.buffer[from..to] });
            }
        }
    }
}

/// Status and place of the body, once all of it is there.
fn complete(answer: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let unreadable = || Error::new(ErrorKind::InvalidData, "an answer without a length");
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| unreadable())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)).and_then(|code| code.parse().ok()).ok_or_else(unreadable)?;
    let length = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(unreadable)?;
    let from = end + 4;
    Ok((answer.len() >= from + length).then_some((status, from, from + length)))
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn an_answer_is_complete_when_its_body_is() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\nx: y\r\n\r\nabc";
        assert!(complete(&answer[..answer.len() - 1]).is_ok_and(|c| c.is_none()));
        assert!(complete(answer).is_ok_and(|c| c == Some((201, answer.len() - 3, answer.len()))));
        assert!(complete(b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n").is_err());
    }
}
