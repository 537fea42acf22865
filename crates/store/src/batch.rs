//! Many small writes as one: what is asked for while the writer is busy becomes one call of one closure.
//!
//! A [`Batcher`] keeps a queue and has at most one job for it on the way to the writer. The job takes what is in the
//! queue when its turn comes, so there is no delay to tune: the batches are as large as the commits are slow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use crate::{
    Error, Store, Tx,
    job::{Job, Verdict, guarded},
    store::Lane,
};

/// Operations in one call. More would not be faster, and all of them wait for the last.
const OPS_MAX: usize = 512;

/// Operations in the queue. A caller beyond that waits for room.
const OPS_WAITING_MAX: usize = 4096;

type Apply<Op, Answer, E> = Box<dyn Fn(&mut Tx<'_>, &[Op]) -> Result<Vec<Answer>, E> + Send + Sync>;

type Reply<Answer, E> = oneshot::Sender<Result<Answer, E>>;

/// Writes operations of one kind together; made by [`Store::batcher`]. Cheap to clone.
pub struct Batcher<Op, Answer, E = Error> {
    store: Store,
    lane: Lane,
    queue: Arc<Queue<Op, Answer, E>>,
}

struct Queue<Op, Answer, E> {
    apply: Apply<Op, Answer, E>,
    waiting: Mutex<Waiting<Op, Answer, E>>,
    room: Semaphore,
}

struct Waiting<Op, Answer, E> {
    ops: Vec<Op>,
    replies: Vec<Reply<Answer, E>>,
    /// A job that will take them is on its way to the writer.
    asked: bool,
}

impl<Op, Answer, E> Batcher<Op, Answer, E>
where
    Op: Send + 'static,
    Answer: Send + 'static,
    E: From<Error> + Send + 'static,
{
    pub(crate) fn new(store: Store, lane: Lane, apply: Apply<Op, Answer, E>) -> Self {
        let waiting = Waiting { ops: Vec::new(), replies: Vec::new(), asked: false };
        let room = Semaphore::new(OPS_WAITING_MAX);
        Self { store, lane, queue: Arc::new(Queue { apply, waiting: Mutex::new(waiting), room }) }
    }

    /// Applies `op` with whatever else waits, and answers once it is durable. If the future is dropped, it may still
    /// happen.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write(&self, op: Op) -> Result<Answer, E> {
        let (reply, answer) = oneshot::channel();
        self.push(op, reply).await?;
        answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    async fn push(&self, op: Op, reply: Reply<Answer, E>) -> Result<(), Error> {
        let writes = self.store.writes(self.lane)?;
        let room = self.queue.room.acquire().await.map_err(|_| Error::Closed)?;
        let joined = self.queue.lock().join((op, reply));
        if let Err(entry) = joined {
            // Nothing is in the queue yet: a caller dropped while it waits here leaves nothing behind.
            let place = writes.reserve().await.map_err(|_| Error::Closed)?;
            let first = self.queue.lock().add(entry);
            if first {
                place.send(Box::new(Batch::asked(&self.queue)));
            }
        }
        // Given back when the job takes the operation.
        room.forget();
        Ok(())
    }
}

impl<Op, Answer, E> Clone for Batcher<Op, Answer, E> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), lane: self.lane, queue: Arc::clone(&self.queue) }
    }
}

impl<Op, Answer, E> std::fmt::Debug for Batcher<Op, Answer, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").field("store", &self.store).finish_non_exhaustive()
    }
}

impl<Op, Answer, E> Queue<Op, Answer, E> {
    fn lock(&self) -> MutexGuard<'_, Waiting<Op, Answer, E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Op, Answer, E> Waiting<Op, Answer, E> {
    /// Adds an operation if a job will take it; gives it back otherwise.
    fn join(&mut self, entry: (Op, Reply<Answer, E>)) -> Result<(), (Op, Reply<Answer, E>)> {
        if !self.asked {
            return Err(entry);
        }
        self.add(entry);
        Ok(())
    }

    /// Adds an operation; whether the caller has to ask for the job that takes it.
    fn add(&mut self, (op, reply): (Op, Reply<Answer, E>)) -> bool {
        self.ops.push(op);
        self.replies.push(reply);
        !std::mem::replace(&mut self.asked, true)
    }
}

/// Some operations on their way through the writer.
struct Batch<Op, Answer, E> {
    queue: Arc<Queue<Op, Answer, E>>,
    ops: Vec<Op>,
    replies: Vec<Reply<Answer, E>>,
    outcome: Option<Outcome<Answer, E>>,
}

enum Outcome<Answer, E> {
    /// One for each operation.
    Answers(Vec<Answer>),
    /// The only operation failed.
    Refused(E),
    /// All failed together.
    Failed(Error),
}

impl<Op, Answer, E> Batch<Op, Answer, E> {
    fn asked(queue: &Arc<Queue<Op, Answer, E>>) -> Self {
        Self::of(queue, Vec::new(), Vec::new())
    }

    fn of(queue: &Arc<Queue<Op, Answer, E>>, ops: Vec<Op>, replies: Vec<Reply<Answer, E>>) -> Self {
        Self { queue: Arc::clone(queue), ops, replies, outcome: None }
    }
}

impl<Op, Answer, E> Job for Batch<Op, Answer, E>
where
    Op: Send + 'static,
    Answer: Send + 'static,
    E: From<Error> + Send + 'static,
{
    fn take_up(&mut self) -> Option<Box<dyn Job>> {
        let mut waiting = self.queue.lock();
        let rest = waiting.ops.len().saturating_sub(OPS_MAX);
        let count = waiting.ops.len() - rest;
        (self.ops, self.replies) =
            (take(&mut waiting.ops, count), take(&mut waiting.replies, count));
        waiting.asked = rest > 0;
        drop(waiting);
        self.queue.room.add_permits(count);
        (rest > 0).then(|| Box::new(Self::asked(&self.queue)) as Box<dyn Job>)
    }

    fn callers(&self) -> usize {
        self.replies.len()
    }

    fn run(&mut self, mut tx: Tx<'_>) -> Verdict {
        let result = guarded(|| (self.queue.apply)(&mut tx, &self.ops));
        let (outcome, verdict) = match (result, tx.into_failed()) {
            (_, Some(conflict @ Error::Conflict { .. })) => {
                (Outcome::Failed(conflict.clone()), Verdict::Again(conflict))
            }
            (Ok(answers), None) if answers.len() == self.ops.len() => {
                (Outcome::Answers(answers), Verdict::Keep)
            }
            (Ok(answers), None) => {
                let (given, wanted) = (answers.len(), self.ops.len());
                (Outcome::Failed(Error::Answers { given, wanted }), Verdict::RollBack)
            }
            (Err(error), _) if self.ops.len() == 1 => (Outcome::Refused(error), Verdict::RollBack),
            (_, failed) => (Outcome::Failed(failed.unwrap_or(Error::Aborted)), Verdict::RollBack),
        };
        self.outcome = Some(outcome);
        verdict
    }

    /// Halves: whichever operation fails is alone in the end, and its neighbours are applied with few calls.
    fn split(&mut self) -> Vec<Box<dyn Job>> {
        if self.ops.len() < 2 {
            return Vec::new();
        }
        let half = self.ops.len() / 2;
        let later = Self::of(&self.queue, self.ops.split_off(half), self.replies.split_off(half));
        let (ops, replies) = (std::mem::take(&mut self.ops), std::mem::take(&mut self.replies));
        vec![Box::new(Self::of(&self.queue, ops, replies)), Box::new(later)]
    }

    fn fail(&mut self, error: Error) {
        if !matches!(self.outcome, Some(Outcome::Refused(_) | Outcome::Failed(_))) {
            self.outcome = Some(Outcome::Failed(error));
        }
    }

    fn answer(self: Box<Self>) {
        // Nobody listening is fine: what is committed is committed.
        let replies = self.replies.into_iter();
        match self.outcome {
            Some(Outcome::Answers(answers)) => replies.zip(answers).for_each(|(reply, answer)| {
                let _ = reply.send(Ok(answer));
            }),
            Some(Outcome::Refused(error)) => {
                replies.zip([error]).for_each(|(reply, error)| {
                    let _ = reply.send(Err(error));
                });
            }
            Some(Outcome::Failed(error)) => replies.for_each(|reply| {
                let _ = reply.send(Err(error.clone().into()));
            }),
            None => {}
        }
    }
}

/// The first `count`.
fn take<T>(list: &mut Vec<T>, count: usize) -> Vec<T> {
    let rest = list.split_off(count);
    std::mem::replace(list, rest)
}
