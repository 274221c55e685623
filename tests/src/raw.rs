//! Bytes on a socket, for what no HTTP library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long the server may take for a raw answer. Not a pause: a test that
/// reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back on a connection until the server closed it.
#[derive(Clone, Debug)]
pub struct RawReply {
    /// Everything.
    pub bytes: Vec<u8>,
}

impl RawReply {
    /// Everything, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The status of the first answer; `None` if there is none.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let text = self.text();
        let line = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?;
        line.get(..3)?.parse().ok()
    }

    /// How many answers there are: more than one means that one request was
    /// taken for two.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.text().matches("HTTP/1.").count()
    }
}

/// Sends bytes and reads until the server closes the connection. `half_close`
/// tells the server that no more bytes will come.
pub async fn exchange(host: &str, bytes: &[u8], half_close: bool) -> RawReply {
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    // The server may have answered and closed before it read everything.
    let _ = stream.write_all(bytes).await;
    if half_close {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    let shown = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
    assert!(read.is_ok(), "the connection is still open after {PATIENCE:?}: {shown:?}");
    RawReply { bytes: answer }
}

/// Sends bytes and hangs up at once, without reading anything.
pub async fn hang_up(host: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    stream.write_all(bytes).await.expect("the bytes are sent");
    stream.flush().await.expect("the bytes are sent");
}
