//! Bells across controllers: one connection that listens and, at most every 10 ms, notifies.
//!
//! Never inside a writing transaction: PostgreSQL makes transactions with a pending `NOTIFY` commit one after the other.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::{Error, Result, address::Server, bell::Bells};

/// Rings within this time become one notification.
const COALESCE: Duration = Duration::from_millis(10);

/// Wait before connecting again after the connection was lost.
const RECONNECT: Duration = Duration::from_secs(1);

type Topics = Arc<Mutex<BTreeSet<&'static str>>>;

/// The writer's end: says which topics other controllers shall hear of.
#[derive(Clone)]
pub(crate) struct Announcer {
    topics: Topics,
    news: mpsc::Sender<()>,
}

impl Announcer {
    pub(crate) fn announce(&self, topics: &[&'static str]) {
        if topics.is_empty() {
            return;
        }
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).extend(topics);
        // Full means that the notifier is going to look anyway.
        let _ = self.news.try_send(());
    }
}

/// The connection's end; lives until the writer has dropped its [`Announcer`].
pub(crate) struct Notifier {
    server: Server,
    bells: Arc<Bells>,
    topics: Topics,
    news: mpsc::Receiver<()>,
}

impl Notifier {
    pub(crate) fn new(server: Server, bells: Arc<Bells>) -> (Announcer, Self) {
        let (sender, news) = mpsc::channel(1);
        let topics = Topics::default();
        let announcer = Announcer { topics: Arc::clone(&topics), news: sender };
        (announcer, Self { server, bells, topics, news })
    }

    pub(crate) async fn run(mut self) {
        while let Err(error) = self.session().await {
            tracing::warn!(%error, "notifications interrupted");
            tokio::time::sleep(RECONNECT).await;
            if self.news.is_closed() {
                return;
            }
        }
    }

    async fn session(&mut self) -> Result<()> {
        let database = self.server.describe();
        let failed = |error| Error::Open { database: database.clone(), source: Arc::new(error) };
        let (client, connection) = self.server.config.connect(NoTls).await.map_err(failed)?;
        let own_process = Arc::new(AtomicI32::new(0));
        let (ended, mut end) = oneshot::channel();
        let (bells, own) = (Arc::clone(&self.bells), Arc::clone(&own_process));
        let listening = tokio::spawn(async move {
            listen(connection, &bells, &own).await;
            // The session may be over already.
            let _ = ended.send(());
        });
        let done = tokio::select! {
            done = self.serve(&client, &own_process) => done.map_err(failed),
            _ = &mut end => Err(Error::Closed),
        };
        listening.abort();
        done
    }

    async fn serve(
        &mut self,
        client: &Client,
        own_process: &AtomicI32,
    ) -> Result<(), tokio_postgres::Error> {
        let channel = format!("tutti_{}", self.server.schema);
        let process: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        own_process.store(process, Ordering::Relaxed);
        client.batch_execute(&format!("LISTEN \"{channel}\"")).await?;
        // Whatever happened before we listened may have been missed.
        self.bells.ring_all();
        let notify = client.prepare("SELECT pg_notify($1, $2)").await?;
        loop {
            let open = self.news.recv().await.is_some();
            let topics =
                std::mem::take(&mut *self.topics.lock().unwrap_or_else(PoisonError::into_inner));
            if !topics.is_empty() {
                let topics = topics.into_iter().collect::<Vec<_>>().join(",");
                client.execute(&notify, &[&channel, &topics]).await?;
            }
            if !open {
                return Ok(());
            }
            tokio::time::sleep(COALESCE).await;
        }
    }
}

async fn listen<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    bells: &Arc<Bells>,
    own_process: &AtomicI32,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages =
        futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(note) = message
            && note.process_id() != own_process.load(Ordering::Relaxed)
        {
            note.payload().split(',').for_each(|topic| bells.ring(topic));
        }
    }
}
