//! The writer: one thread, one connection, group commit.
//!
//! Everything waiting joins one transaction, each job under its own savepoint, and answers go out after the commit. One
//! flush to disk thereby serves many callers, without any delay added when there is only one.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    Error, Result, Tx, Value,
    bell::Bells,
    connection::Connection,
    job::{Job, Verdict},
    notify::Announcer,
    store::now,
    tx::Announcements,
};

/// Jobs in one transaction. More would not be faster, and all of them wait for the last.
const BATCH_JOBS_MAX: usize = 128;

/// A batch that took this long takes in no more jobs, so that bulk work delays a heartbeat by little.
const BATCH_TIME_MAX: Duration = Duration::from_millis(20);

/// How often a transaction is run again after a conflict with another controller.
const ATTEMPTS_MAX: u32 = 20;

/// Wait before the connection is tried again; with [`ATTEMPTS_MAX`] it makes up for a restart of the server.
const RECONNECT: Duration = Duration::from_millis(250);

/// How long it takes until a caller who was answered asks for the next, and for how many that counts. On PostgreSQL, where the
/// writer mostly waits, they are worth waiting for: otherwise two halves of the callers take turns with a commit each.
const RETURN: Duration = Duration::from_micros(6);
const RETURNS_MAX: u32 = 16;

crate::sql! {
    TAKE_SEQS = "UPDATE outbox_last SET seq = seq + $1 {rows} WHERE id = 1";
    /// An event, so many before the last number taken.
    ANNOUNCE = "INSERT INTO outbox (seq, at, topic, body)
        SELECT (SELECT seq FROM outbox_last WHERE id = 1) - $1, $2, $3, $4 {rows} WHERE TRUE";
}

/// What the writing thread owns.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) jobs: mpsc::Receiver<Box<dyn Job>>,
    /// What jobs left over, to be done before anything else.
    pub(crate) rest: VecDeque<Box<dyn Job>>,
    pub(crate) bells: Arc<Bells>,
    /// Tells other controllers.
    pub(crate) announcer: Option<Announcer>,
    /// Whether those it answered are waited for.
    pub(crate) gathers: bool,
    /// Whether nobody else writes. Otherwise what is asked for while a transaction runs waits for the next: it may rest on what
    /// others committed after this one began, which this one would not see.
    pub(crate) alone: bool,
}

/// Why a batch was not committed. Nothing of it was kept, except where the outcome is unknown.
enum Failure {
    /// Another transaction came in between.
    Conflict(Error),
    /// The connection broke, or could not be made, before the commit.
    Disconnected(Error),
    /// The engine gave the transaction up, or refused the commit.
    Lost(Error),
}

impl Failure {
    fn of(error: Error) -> Self {
        match error {
            Error::Conflict { .. } => Self::Conflict(error),
            error => Self::Lost(error),
        }
    }
}

impl Writer {
    /// Serves until every sender is gone and the queue is empty.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.next() {
            self.serve(first);
        }
    }

    fn next(&mut self) -> Option<Box<dyn Job>> {
        self.next_waiting().or_else(|| {
            let mut job = self.jobs.blocking_recv()?;
            self.rest.extend(job.take_up());
            Some(job)
        })
    }

    fn serve(&mut self, first: Box<dyn Job>) {
        let mut batch = vec![first];
        if !self.alone {
            let waiting = std::iter::from_fn(|| self.next_waiting());
            batch.extend(waiting.take(BATCH_JOBS_MAX - 1));
        }
        let started = Instant::now();
        let outcome = self.attempt(&mut batch, |writer, taken| {
            let room = taken < BATCH_JOBS_MAX && started.elapsed() < BATCH_TIME_MAX;
            if writer.alone && room { writer.next_waiting() } else { None }
        });
        match outcome {
            Ok(()) => self.answer(batch),
            Err(Failure::Lost(error)) => self.separate(batch, &error),
            Err(_) => batch.into_iter().for_each(|job| self.serve_alone(job)),
        }
    }

    fn answer(&self, batch: Vec<Box<dyn Job>>) {
        let callers: usize = batch.iter().map(|job| job.callers()).sum();
        batch.into_iter().for_each(Job::answer);
        if self.gathers && callers > 1 {
            let returns = u32::try_from(callers).unwrap_or(RETURNS_MAX).min(RETURNS_MAX);
            std::thread::sleep(RETURN * returns);
        }
    }

    fn serve_alone(&mut self, job: Box<dyn Job>) {
        let mut batch = vec![job];
        for attempt in 1..=ATTEMPTS_MAX {
            match self.attempt(&mut batch, |_, _| None) {
                Ok(()) => break,
                Err(Failure::Conflict(Error::Conflict { source, .. }))
                    if attempt == ATTEMPTS_MAX =>
                {
                    return give_up(batch, &Error::Conflict { attempts: attempt, source });
                }
                Err(Failure::Disconnected(error)) if attempt == ATTEMPTS_MAX => {
                    return give_up(batch, &error);
                }
                Err(Failure::Conflict(_)) => std::thread::sleep(pause(attempt)),
                Err(Failure::Disconnected(_)) => std::thread::sleep(RECONNECT),
                Err(Failure::Lost(error)) => return self.separate(batch, &error),
            }
        }
        batch.into_iter().for_each(Job::answer);
    }

    /// One of them spoiled it for all, so each gets a transaction of its own, and what can be divided is.
    fn separate(&mut self, mut batch: Vec<Box<dyn Job>>, error: &Error) {
        if matches!(error, Error::CommitUnknown { .. }) {
            return give_up(batch, error);
        }
        if let [job] = batch.as_mut_slice() {
            let parts = job.split();
            if parts.is_empty() {
                return give_up(batch, error);
            }
            batch = parts;
        }
        batch.into_iter().for_each(|job| self.serve_alone(job));
    }

    /// What nobody has turned to yet, if anything waits.
    fn next_waiting(&mut self) -> Option<Box<dyn Job>> {
        let mut job = self.rest.pop_front().or_else(|| self.jobs.try_recv().ok())?;
        self.rest.extend(job.take_up());
        Some(job)
    }

    /// Runs `batch`, then what `next` adds to it, in one transaction.
    fn attempt(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        next: impl FnMut(&mut Self, usize) -> Option<Box<dyn Job>>,
    ) -> Result<(), Failure> {
        let mut announcements = Announcements::default();
        let outcome = self
            .begin()
            .and_then(|()| self.run_jobs(batch, next, &mut announcements))
            .and_then(|()| self.finish(&announcements.events));
        match &outcome {
            Ok(()) => self.ring(&announcements.rings),
            Err(_) => self.connection.rollback(),
        }
        outcome
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.connection.begin_write().map_err(|error| match error {
            Error::Open { .. } => Failure::Disconnected(error),
            error => Failure::Lost(error),
        })
    }

    fn run_jobs(
        &mut self,
        batch: &mut Vec<Box<dyn Job>>,
        mut next: impl FnMut(&mut Self, usize) -> Option<Box<dyn Job>>,
        announcements: &mut Announcements,
    ) -> Result<(), Failure> {
        let mut at = 0;
        loop {
            if at == batch.len() {
                let Some(job) = next(self, at) else { return Ok(()) };
                batch.push(job);
            }
            let parts = self.run_or_split(&mut batch[at], at == 0, announcements)?;
            if parts.is_empty() {
                at += 1;
            } else {
                batch.splice(at..=at, parts);
            }
        }
    }

    /// Runs one job; answers the jobs to run in its place if it failed and can be divided.
    fn run_or_split(
        &mut self,
        job: &mut Box<dyn Job>,
        first: bool,
        announcements: &mut Announcements,
    ) -> Result<Vec<Box<dyn Job>>, Failure> {
        if first {
            if self.run_first(job, announcements)? {
                return Ok(Vec::new());
            }
            let parts = job.split();
            if !parts.is_empty() {
                return Ok(parts);
            }
            // A refusal shall rest on what was committed: again, in the transaction that will be.
        }
        let kept = self.run_job(job, announcements)?;
        Ok(if kept { Vec::new() } else { job.split() })
    }

    /// Runs the first job of a transaction: there is nothing else to be rolled back, so that the savepoint can be saved. Answers
    /// whether it was kept; otherwise it is as if it had not run.
    fn run_first(
        &mut self,
        job: &mut Box<dyn Job>,
        announcements: &mut Announcements,
    ) -> Result<bool, Failure> {
        match job.run(Tx::writing(&mut self.connection, announcements)) {
            Verdict::Keep => Ok(true),
            Verdict::Again(error) => Err(Failure::Conflict(error)),
            Verdict::RollBack if self.connection.is_lost() => {
                Err(Failure::Disconnected(Error::Aborted))
            }
            Verdict::RollBack => {
                *announcements = Announcements::default();
                self.connection.rollback();
                self.begin().map(|()| false)
            }
        }
    }

    /// Runs one job under a savepoint; answers whether it was kept.
    fn run_job(
        &mut self,
        job: &mut Box<dyn Job>,
        announcements: &mut Announcements,
    ) -> Result<bool, Failure> {
        let (rings, events) = (announcements.rings.len(), announcements.events.len());
        // A batch before this job may still wait for answers, which are not this job's.
        self.connection.settle().map_err(Failure::of)?;
        self.connection.control("SAVEPOINT job").map_err(Failure::Lost)?;
        let verdict = job.run(Tx::writing(&mut self.connection, announcements));
        let kept = match self.settled(job, verdict) {
            Verdict::Keep => true,
            Verdict::RollBack => {
                announcements.rings.truncate(rings);
                announcements.events.truncate(events);
                // What it has not sent yet must not fail for another job.
                let _ = self.connection.settle();
                if self.connection.is_lost() {
                    return Err(Failure::Disconnected(Error::Aborted));
                }
                if self.connection.gave_up() {
                    return Err(Failure::Lost(Error::Aborted));
                }
                self.connection.control("ROLLBACK TO job").map_err(Failure::Lost)?;
                false
            }
            Verdict::Again(error) => return Err(Failure::Conflict(error)),
        };
        self.connection.control("RELEASE job").map_err(Failure::Lost)?;
        Ok(kept)
    }

    /// What a run comes to, once all its statements are answered.
    fn settled(&mut self, job: &mut Box<dyn Job>, verdict: Verdict) -> Verdict {
        let Verdict::Keep = verdict else { return verdict };
        match self.connection.settle() {
            Ok(()) => Verdict::Keep,
            Err(conflict @ Error::Conflict { .. }) => Verdict::Again(conflict),
            Err(error) => {
                job.fail(error);
                Verdict::RollBack
            }
        }
    }

    fn ring(&self, topics: &[&'static str]) {
        topics.iter().for_each(|topic| self.bells.ring(topic));
        if let Some(announcer) = &self.announcer {
            announcer.announce(topics);
        }
    }

    /// Numbers the events and commits. The counter row is taken last, so that controllers meet there only briefly.
    fn finish(&mut self, events: &[(String, String)]) -> Result<(), Failure> {
        if !events.is_empty() {
            self.write_events(events).map_err(Failure::of)?;
        }
        self.connection.commit().map_err(Failure::of)
    }

    /// Nobody waits for an answer: all of it goes to the server together with the commit.
    fn write_events(&mut self, events: &[(String, String)]) -> Result<()> {
        let at = now();
        let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let mut taken = std::iter::once(vec![Value::Integer(count)]);
        self.connection.execute_many_later(TAKE_SEQS, &mut taken)?;
        let mut rows = (0..count).rev().zip(events).map(|(before, (topic, body))| {
            let (topic, body) = (Value::Text(topic.clone()), Value::Text(body.clone()));
            vec![Value::Integer(before), Value::Integer(at), topic, body]
        });
        self.connection.execute_many_later(ANNOUNCE, &mut rows)
    }
}

fn give_up(batch: Vec<Box<dyn Job>>, error: &Error) {
    for mut job in batch {
        job.fail(error.clone());
        job.answer();
    }
}

/// Grows with the attempts, and differs between controllers that met, by the clock's low digits.
fn pause(attempt: u32) -> Duration {
    let jitter = u64::from(now().unsigned_abs() as u32 % 1000);
    Duration::from_micros(200 * u64::from(attempt.min(10)) + jitter)
}
