//! Who may run what is due once per cluster.
//!
//! Two keys for each schedule of a service: one that whoever runs it holds, and that expires unless it is prolonged; and
//! the last time that was run, which only the holder of the first reads and writes.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use redis::{FromRedisValue, RedisResult};

use crate::codec::keys;
use crate::transport::Link;

/// A holder that gives no sign for so long is dead.
const LEASE_SECONDS: u64 = 30;
/// A holder gives a sign this often.
const PROLONG_EVERY: Duration = Duration::from_secs(10);
/// The last time is remembered for so long, should the schedule be given up.
const LAST_SECONDS: u64 = 400 * 24 * 3600;

/// The right to run one schedule.
pub(super) struct Lease<'a> {
    link: &'a Link,
    holder_key: String,
    last_key: String,
    holder: &'a str,
    prolong_every: Duration,
}

/// Who runs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// This process.
    Ours,
    /// Another process does, or has.
    Others,
}

impl<'a> Lease<'a> {
    /// `holder` names this process, and no other.
    pub(super) fn new(link: &'a Link, service: &str, name: &str, holder: &'a str) -> Lease<'a> {
        Lease {
            link,
            holder_key: keys::schedule_holder(service, name),
            last_key: keys::schedule_last(service, name),
            holder,
            prolong_every: PROLONG_EVERY,
        }
    }

    /// Asks for the right to run what is due at `due`.
    pub(super) async fn claim(&self, due: Timestamp) -> RedisResult<Claim> {
        let mut command = redis::cmd("SET");
        command.arg(&self.holder_key).arg(self.holder).arg("NX").arg("EX").arg(LEASE_SECONDS);
        let set: Option<String> = FromRedisValue::from_redis_value(self.link.run(&command).await?)?;
        if set.is_none() {
            return Ok(Claim::Others);
        }
        match self.is_first(due).await {
            Ok(true) => Ok(Claim::Ours),
            Ok(false) => {
                self.release().await?;
                Ok(Claim::Others)
            }
            Err(error) => {
                // The lease expires by itself if this fails as well.
                let _ = self.release().await;
                Err(error)
            }
        }
    }

    async fn is_first(&self, due: Timestamp) -> RedisResult<bool> {
        let mut get = redis::cmd("GET");
        get.arg(&self.last_key);
        let last: Option<i64> = FromRedisValue::from_redis_value(self.link.run(&get).await?)?;
        let due_ms = due.as_millisecond();
        if last.is_some_and(|last_ms| last_ms >= due_ms) {
            return Ok(false);
        }
        let mut set = redis::cmd("SET");
        set.arg(&self.last_key).arg(due_ms).arg("EX").arg(LAST_SECONDS);
        self.link.run(&set).await.map(|_| true)
    }

    /// Keeps the right while `task` runs, then gives it back.
    pub(super) async fn hold_while(&self, task: impl Future<Output = ()>) {
        tokio::select! {
            () = task => {}
            () = self.prolong_for_ever() => {}
        }
        if let Err(error) = self.release().await {
            tracing::warn!(key = self.holder_key, %error, "the lease is not given back; it expires");
        }
    }

    async fn prolong_for_ever(&self) {
        let mut command = redis::cmd("EXPIRE");
        command.arg(&self.holder_key).arg(LEASE_SECONDS);
        loop {
            tokio::time::sleep(self.prolong_every).await;
            if let Err(error) = self.link.run(&command).await {
                tracing::warn!(key = self.holder_key, %error, "the lease is not prolonged");
            }
        }
    }

    /// Gives the right back, unless it has expired and is another's.
    async fn release(&self) -> RedisResult<()> {
        let mut get = redis::cmd("GET");
        get.arg(&self.holder_key);
        let holder: Option<String> = FromRedisValue::from_redis_value(self.link.run(&get).await?)?;
        if holder.as_deref() == Some(self.holder) {
            let mut delete = redis::cmd("DEL");
            delete.arg(&self.holder_key);
            self.link.run(&delete).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;

    #[tokio::test]
    async fn a_server_that_does_not_answer_holds_no_task_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", silent.local_addr().unwrap());
        let link = Link::new(Address::url(&url).unwrap());
        let mut lease = Lease::new(&link, "service", "task", "me");
        lease.prolong_every = Duration::from_millis(1);
        let (end, ended) = tokio::sync::oneshot::channel();
        let task = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            end.send(()).unwrap();
        };
        tokio::select! {
            () = lease.hold_while(task) => {}
            () = tokio::time::sleep(Duration::from_secs(3)) => {}
            ended = ended => return ended.unwrap(),
        }
        panic!("the task waits for the server");
    }
}
