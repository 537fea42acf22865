//! Work by the clock, in several processes of one service.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tutti_bus::value::DateTime;
use tutti_bus::{Bus, Failure};

use crate::server::{Server, eventually, on_every_server};

on_every_server! {
    each_process_runs_what_is_due,
    one_process_of_a_cluster_runs_what_is_due,
    what_another_process_holds_is_left_to_it,
    a_missed_time_is_made_up_once,
    a_background_task_is_begun_again,
    a_shutdown_waits_for_what_runs,
}

const PERIOD: Duration = Duration::from_millis(100);

type Log = Arc<Mutex<Vec<i64>>>;

/// Runs a schedule that writes down when it was due.
fn log_every(bus: &Bus, period: Duration, log: &Log) -> tutti_bus::Schedule {
    let log = log.clone();
    bus.every("tick", period, move |due: DateTime| {
        log.lock().unwrap().push(due.0.as_millisecond());
        std::future::ready(Ok(()))
    })
}

async fn until_logged(log: &Log, count: usize) -> Vec<i64> {
    eventually("enough runs", async || log.lock().unwrap().len() >= count).await;
    log.lock().unwrap().clone()
}

async fn each_process_runs_what_is_due(server: Server) {
    let logs = [Log::default(), Log::default()];
    for (log, process) in logs.iter().zip(["1", "2"]) {
        log_every(&server.bus("clock", process).await, PERIOD, log).start();
    }
    for log in &logs {
        let log = until_logged(log, 3).await;
        assert!(log.iter().all(|due| due % 100 == 0), "{log:?}");
        assert!(log.windows(2).all(|pair| pair[0] < pair[1]), "{log:?}");
    }
}

async fn one_process_of_a_cluster_runs_what_is_due(server: Server) {
    let log = Log::default();
    for process in ["1", "2", "3"] {
        let bus = server.bus("clock", process).await;
        log_every(&bus, PERIOD, &log).once_per_cluster().start();
    }
    let log = until_logged(&log, 10).await;
    assert!(log.windows(2).all(|pair| pair[0] < pair[1]), "twice or out of order: {log:?}");
}

async fn what_another_process_holds_is_left_to_it(server: Server) {
    let log = Log::default();
    let key = "tutti:schedule:clock:tick:holder";
    let () = server.run(&["SET", key, "somebody"]).await;
    let bus = server.bus("clock", "1").await;
    log_every(&bus, PERIOD, &log).once_per_cluster().start();
    tokio::time::sleep(5 * PERIOD).await;
    assert_eq!(log.lock().unwrap().len(), 0);
    let () = server.run(&["DEL", key]).await;
    until_logged(&log, 1).await;
}

async fn a_missed_time_is_made_up_once(server: Server) {
    let (log, hour) = (Log::default(), Duration::from_secs(3600));
    for process in ["1", "2"] {
        let bus = server.bus("clock", process).await;
        log_every(&bus, hour, &log).once_per_cluster().at_start().start();
        until_logged(&log, 1).await;
        tokio::time::sleep(PERIOD).await;
    }
    let log = log.lock().unwrap().clone();
    // Two if an hour ended in between.
    assert!(log.len() == 1 || (log.len() == 2 && log[0] < log[1]), "{log:?}");
}

async fn a_background_task_is_begun_again(server: Server) {
    let bus = server.bus("clock", "1").await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    bus.background("flaky", move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match run {
                0 => Err(Failure::message("not yet")),
                1 => panic!("in a background task"),
                _ => Ok(()),
            }
        }
    });
    eventually("a third run", async || runs.load(Ordering::SeqCst) == 3).await;
    bus.shutdown().await;
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

async fn a_shutdown_waits_for_what_runs(server: Server) {
    let bus = server.bus("clock", "1").await;
    let (begun, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (begins, ends) = (begun.clone(), ended.clone());
    let task = move |_| {
        begins.fetch_add(1, Ordering::SeqCst);
        let ends = ends.clone();
        async move {
            tokio::time::sleep(3 * PERIOD).await;
            ends.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    };
    bus.every("slow", PERIOD, task).once_per_cluster().start();
    eventually("a run", async || begun.load(Ordering::SeqCst) == 1).await;
    bus.shutdown().await;
    assert_eq!(ended.load(Ordering::SeqCst), begun.load(Ordering::SeqCst));
    let holder: Option<String> = server.run(&["GET", "tutti:schedule:clock:slow:holder"]).await;
    assert_eq!(holder, None);
}
