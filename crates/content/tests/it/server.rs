//! A small HTTP server that does as it is told, also what no server should.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What comes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The bytes, or the rest of them from where the request says, with the digest as entity tag.
    Bytes(Vec<u8>),
    /// The bytes, and nothing is said of them.
    Plain(Vec<u8>, &'static str),
    /// A status, with more headers.
    Status(u16, &'static str),
    /// All is announced, and after so many bytes the connection ends.
    Cut(Vec<u8>, usize),
    /// So many bytes, and nothing comes any more.
    Stall(Vec<u8>, usize),
    /// Another length is announced than there is.
    Lie(Vec<u8>, usize),
    /// Bytes without end, no length announced.
    Endless,
    /// Somewhere else.
    Redirect(String),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Vec<Answer>>,
    asked: Vec<Asked>,
    at_once: usize,
    at_once_most: usize,
    delay: Duration,
}

/// A server on loopback. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, state: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(connection).await });
            }
        });
        server
    }

    /// From now on these are the answers to requests of a path, the last one for all that follow.
    pub(crate) fn answers(&self, path: &str, answers: Vec<Answer>) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), answers);
    }

    pub(crate) fn bytes(&self, path: &str, bytes: &[u8]) {
        self.answers(path, vec![Answer::Bytes(bytes.to_vec())]);
    }

    /// Each answer waits so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// The requests so far, which are forgotten.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// How many requests there were at the same time.
    pub(crate) fn at_once_most(&self) -> usize {
        self.state.lock().unwrap().at_once_most
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn serve(&self, mut connection: TcpStream) {
        let mut received = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end;
                }
                match connection.read_buf(&mut received).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            };
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            let asked = asked(&head);
            let (answer, delay) = self.begin(&asked);
            tokio::time::sleep(delay).await;
            let goes_on = answered(&mut connection, &asked, answer).await;
            self.state.lock().unwrap().at_once -= 1;
            if !matches!(goes_on, Ok(true)) {
                return;
            }
        }
    }

    fn begin(&self, asked: &Asked) -> (Answer, Duration) {
        let mut state = self.state.lock().unwrap();
        state.asked.push(asked.clone());
        state.at_once += 1;
        state.at_once_most = state.at_once_most.max(state.at_once);
        let delay = state.delay;
        let answer = match state.answers.get_mut(&asked.path) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => Answer::Status(404, ""),
        };
        (answer, delay)
    }
}

fn asked(head: &str) -> Asked {
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap();
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Asked { path, headers: lines.map(header).collect() }
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &tutti_content::digest::sha256(bytes)[..16])
}

/// Whether the connection goes on.
async fn answered(
    connection: &mut TcpStream,
    asked: &Asked,
    answer: Answer,
) -> std::io::Result<bool> {
    let head = |status: u16, length: usize, more: &str| {
        format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n{more}\r\n")
    };
    match answer {
        Answer::Bytes(bytes) => {
            let tag = tag(&bytes);
            let more = format!("ETag: {tag}\r\n");
            if asked.headers.get("if-none-match") == Some(&tag) {
                connection.write_all(head(304, 0, &more).as_bytes()).await?;
                return Ok(true);
            }
            let is_same = asked.headers.get("if-range").is_none_or(|range| *range == tag);
            let from = asked.headers.get("range").filter(|_| is_same);
            let from = from.and_then(|range| {
                range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
            });
            let (head, rest) = match from {
                None => (head(200, bytes.len(), &more), &bytes[..]),
                Some(from) if from < bytes.len() => {
                    let (last, all) = (bytes.len() - 1, bytes.len());
                    let more = format!("{more}Content-Range: bytes {from}-{last}/{all}\r\n");
                    (head(206, bytes.len() - from, &more), &bytes[from..])
                }
                Some(_) => (head(416, 0, &more), &[][..]),
            };
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(rest).await?;
        }
        Answer::Plain(bytes, more) => {
            connection.write_all(head(200, bytes.len(), more).as_bytes()).await?;
            connection.write_all(&bytes).await?;
        }
        Answer::Status(status, more) => {
            connection.write_all(head(status, 0, more).as_bytes()).await?;
        }
        Answer::Cut(bytes, after) => {
            let more = format!("ETag: {}\r\n", tag(&bytes));
            connection.write_all(head(200, bytes.len(), &more).as_bytes()).await?;
            connection.write_all(&bytes[..after]).await?;
            connection.flush().await?;
            return Ok(false);
        }
        Answer::Stall(bytes, after) => {
            connection.write_all(head(200, bytes.len(), "").as_bytes()).await?;
            connection.write_all(&bytes[..after]).await?;
            let mut rest = [0];
            let _ = connection.read(&mut rest).await;
            return Ok(false);
        }
        Answer::Lie(bytes, length) => {
            connection.write_all(head(200, length, "").as_bytes()).await?;
            connection.write_all(&bytes).await?;
            return Ok(false);
        }
        Answer::Endless => {
            connection.write_all(b"HTTP/1.1 200 -\r\n\r\n").await?;
            loop {
                connection.write_all(&[b'x'; 4096]).await?;
            }
        }
        Answer::Redirect(location) => {
            let more = format!("Location: {location}\r\n");
            connection.write_all(head(302, 0, &more).as_bytes()).await?;
        }
    }
    Ok(true)
}
