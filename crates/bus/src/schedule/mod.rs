//! Work that begins by the clock, and work that goes on all the time.
//!
//! [`Bus::every`] and [`Bus::cron`] make a [`Schedule`]; it runs in each process that starts it, or, with
//! [`Schedule::once_per_cluster`], in one of the processes of the service. [`Bus::background`] keeps a task running.
//! All of them end with the bus. When something is due is decided in [`times`], who may run it in [`lease`].

mod lease;
mod times;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::value::DateTime;
use crate::{Backoff, Bus, Failure, Result};
use lease::{Claim, Lease};
pub use times::ScheduleError;
use times::Times;

/// Clocks are set; nothing is waited for longer than this without another look.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

type Task = dyn Fn(DateTime) -> BoxFuture<'static, Result<()>> + Send + Sync;

/// A task that runs by the clock. It begins with [`Schedule::start`].
#[must_use = "a schedule begins when it is started"]
pub struct Schedule {
    bus: Bus,
    name: String,
    times: Times,
    task: Arc<Task>,
    per_cluster: bool,
    at_start: bool,
}

impl Bus {
    /// Runs a task at all multiples of `period` since 1970, in UTC: every 60 s is at each full minute. The task is
    /// told when it was due.
    ///
    /// What becomes due while the task still runs is left out; a failure is logged.
    pub fn every<T, F>(&self, name: &str, period: Duration, task: T) -> Schedule
    where
        T: Fn(DateTime) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Schedule::new(self, name, Times::every(period), task)
    }

    /// Runs a task at the times of a cron pattern: `minute hour day month weekday`, with seconds in front if there are
    /// six fields; also `L`, `W`, `#` and `@daily`. In UTC, unless [`Schedule::in_time_zone`] says otherwise.
    ///
    /// What becomes due while the task still runs is left out; a failure is logged.
    pub fn cron<T, F>(&self, name: &str, pattern: &str, task: T) -> Result<Schedule, ScheduleError>
    where
        T: Fn(DateTime) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Ok(Schedule::new(self, name, Times::cron(pattern)?, task))
    }

    /// Keeps a task running: after a failure it is begun again, with longer and longer pauses up to a minute. It is
    /// dropped when the bus shuts down, and stays ended when it ends well.
    pub fn background<T, F>(&self, name: &str, task: T)
    where
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (closing, name) = (self.0.closing.clone(), name.to_owned());
        self.spawn(async move {
            let kept_running = async {
                let mut tries = 0;
                while let Err(failure) = without_panic(task()).await {
                    tries += 1;
                    tracing::warn!(task = name, %failure, "a background task failed and is begun again");
                    tokio::time::sleep(Backoff::default().delay(tries)).await;
                }
            };
            tokio::select! {
                () = closing.cancelled() => {}
                () = kept_running => {}
            }
        });
    }
}

impl Schedule {
    fn new<T, F>(bus: &Bus, name: &str, times: Times, task: T) -> Schedule
    where
        T: Fn(DateTime) -> F + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Schedule {
            bus: bus.clone(),
            name: name.to_owned(),
            times,
            task: Arc::new(move |due| Box::pin(task(due))),
            per_cluster: false,
            at_start: false,
        }
    }

    /// Runs it in one of the processes of this service only; the name is what they agree on.
    ///
    /// Each time is run once, and none while another one still runs, as long as clocks differ by less than the time
    /// from one to the next. A process that dies while it runs one holds back the next for up to 30 s.
    pub fn once_per_cluster(mut self) -> Schedule {
        self.per_cluster = true;
        self
    }

    /// Runs it for the last time that was due as well, right when it starts. With
    /// [`Schedule::once_per_cluster`], only if that time was missed by all.
    pub fn at_start(mut self) -> Schedule {
        self.at_start = true;
        self
    }

    /// Reads the cron pattern in a time zone, such as `Europe/Berlin`.
    pub fn in_time_zone(mut self, name: &str) -> Result<Schedule, ScheduleError> {
        self.times = self.times.in_time_zone(name)?;
        Ok(self)
    }

    /// Begins. It goes on until the bus shuts down; what runs then is waited for.
    pub fn start(self) {
        let bus = self.bus.clone();
        bus.spawn(self.run());
    }

    async fn run(self) {
        let mut after = Timestamp::now();
        if self.at_start
            && let Some(due) = self.times.last(after)
        {
            self.run_once(due).await;
        }
        loop {
            // A clock that was set back does not make it run again.
            after = after.max(Timestamp::now());
            let Some(due) = self.times.next(after) else { return };
            tokio::select! {
                () = self.bus.0.closing.cancelled() => return,
                () = sleep_until(due) => {}
            }
            self.run_once(due).await;
            after = due;
        }
    }

    async fn run_once(&self, due: Timestamp) {
        if self.per_cluster {
            let link = &self.bus.0.apis.schemas.link;
            let lease = Lease::new(
                link,
                &self.bus.0.settings.service_name,
                &self.name,
                &self.bus.0.process,
            );
            match lease.claim(due).await {
                Ok(Claim::Ours) => lease.hold_while(self.run_here(due)).await,
                Ok(Claim::Others) => {
                    tracing::debug!(schedule = self.name, %due, "another process runs this");
                }
                Err(error) => {
                    tracing::warn!(schedule = self.name, %due, %error, "nothing is run: who may cannot be asked");
                }
            }
        } else {
            self.run_here(due).await;
        }
    }

    async fn run_here(&self, due: Timestamp) {
        if let Err(failure) = without_panic((self.task)(DateTime(due))).await {
            tracing::warn!(schedule = self.name, %due, %failure, "a scheduled task failed");
        }
    }
}

async fn sleep_until(due: Timestamp) {
    while let Ok(left) = Duration::try_from(due.duration_since(Timestamp::now())) {
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK_AT_CLOCK)).await;
    }
}

/// A panic ends a task, not what runs it.
async fn without_panic(task: impl Future<Output = Result<()>>) -> Result<()> {
    AssertUnwindSafe(task)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Failure::message("it panicked")))
}
