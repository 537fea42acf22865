//! One connection.

use std::{io, rc::Rc};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::hub::{Hub, Mailbox, Standing};
use crate::resp::{Reply as _, RequestParser};

/// Bytes read at once, and what an idle connection keeps.
const BUFFER_BYTES: usize = 16 * 1024;

/// What a client may send that waits for a reply.
const AHEAD_BYTES_MAX: usize = 1 << 20;

/// Says at the end that the connection is gone.
struct Presence<'a> {
    hub: &'a Hub,
    client: u64,
    buffered: usize,
}

impl Presence<'_> {
    fn count(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(&mut self.buffered, bytes);
        self.hub.count_buffers(before, bytes)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.count(0);
        self.hub.leave(self.client);
    }
}

/// Serves a connection until one side ends it.
pub(super) async fn serve(
    hub: Rc<Hub>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: String,
) {
    let Some((client, mailbox)) = hub.enter(address) else {
        let mut refusal = Vec::new();
        refusal.error("ERR max number of clients reached");
        let _ = stream.write_all(&refusal).await;
        return;
    };
    let mut presence = Presence { hub: &hub, client, buffered: 0 };
    // However it ends, the rest is the same.
    let _ = converse(&hub, &mut presence, &mailbox, &mut stream).await;
    let _ = stream.shutdown().await;
}

async fn converse(
    hub: &Hub,
    presence: &mut Presence<'_>,
    mailbox: &Rc<Mailbox>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut parser = RequestParser::default();
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let (mut standing, mut after) = (Standing::Hungry, 0);
    loop {
        if let Some(reply) = hub.take_reply(mailbox) {
            output.extend_from_slice(&reply.reply);
            after = reply.after;
            // Further requests may be there already.
            standing = Standing::Full;
        } else if standing != Standing::Waits {
            (standing, after) = hub.execute(presence.client, &mut parser, &mut input, &mut output);
        }
        let client = presence.client;
        if !presence.count(input.capacity() + output.capacity() + hub.held(client)) {
            tracing::warn!(client, "no room for the client's buffers; it is disconnected");
            return Ok(());
        }
        if !output.is_empty() {
            if !hub.until_written(mailbox, after).await {
                return Ok(());
            }
            send(mailbox, stream, &output).await?;
            output.clear();
            output.shrink_to(BUFFER_BYTES);
        }
        if standing == Standing::Closes || mailbox.closes() {
            return Ok(());
        }
        if standing == Standing::Full || mailbox.has_reply() {
            continue;
        }
        if input.is_empty() {
            input.shrink_to(BUFFER_BYTES);
        }
        let reads = standing != Standing::Waits || input.len() < AHEAD_BYTES_MAX;
        input.reserve(BUFFER_BYTES);
        tokio::select! {
            read = stream.read_buf(&mut input), if reads => {
                if read? == 0 {
                    return Ok(());
                }
            }
            () = mailbox.news.notified() => (),
        }
    }
}

/// Sends replies; a client that does not take them can still be killed.
async fn send(
    mailbox: &Mailbox,
    stream: &mut (impl AsyncWrite + Unpin),
    output: &[u8],
) -> io::Result<()> {
    let mut sending = std::pin::pin!(stream.write_all(output));
    let was_closing = mailbox.closes();
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => return sent,
            () = mailbox.news.notified() => {
                if mailbox.closes() && !was_closing {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
    }
}
