//! Stages and how they are called.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tutti_content::{
    Artifacts, Error as ContentError,
    pipeline::{
        ADD, Context, DOWNLOAD, Declared, Error, Failure, Output, Progress, QUERY, SAVE_ARTIFACTS,
        SAVE_UNITS, Stage, Stages, batches, concurrent, gather, one_by_one, run, together,
    },
    repository::{self, Draft},
};

use crate::stores;

/// A context; what it needs lives as long as it is held.
async fn context() -> (Context, CancellationToken, (tempfile::TempDir, Option<tempfile::TempDir>)) {
    let (store, database) = stores().await.remove(0);
    let directory = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(directory.path()).unwrap();
    let ensured = store.write(|tx| repository::ensure(tx, "r", "file", 1)).await;
    let repository = ensured.unwrap();
    let draft = Draft::begin(&store, &repository, 1).await.unwrap();
    let cancellation = CancellationToken::new();
    let context = Context::new(&store, &artifacts, draft, &Progress::default(), &cancellation);
    (context, cancellation, (directory, database))
}

fn numbers(count: u32) -> Stage<(), u32> {
    Stage::new("numbers", move |_, _, output: Output<u32>| async move {
        for number in 0..count {
            output.send(number).await?;
        }
        Ok(())
    })
}

/// Runs a chain and answers all that came out of it.
async fn all<T: Send + 'static>(chain: Stage<(), T>) -> Result<Vec<T>, Error> {
    let (context, _cancellation, _kept) = context().await;
    collected(context, chain).await
}

async fn collected<T: Send + 'static>(
    context: Context,
    chain: Stage<(), T>,
) -> Result<Vec<T>, Error> {
    let got = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&got);
    let collect = one_by_one("collect", move |_, item| {
        into.lock().unwrap().push(item);
        async { Ok(None::<()>) }
    });
    run(context, chain.then(collect)).await?;
    let got = std::mem::take(&mut *got.lock().unwrap());
    Ok(got)
}

#[tokio::test]
async fn stages_join_by_their_types() {
    let words = one_by_one("words", |_, number: u32| async move { Ok([format!("{number}")]) });
    let lengths = one_by_one("lengths", |_, word: String| async move { Ok([word.len(); 2]) });
    let got = all(numbers(12).then(words).then(lengths)).await.unwrap();
    assert_eq!(got, [vec![1; 20], vec![2; 4]].concat());
}

#[tokio::test]
async fn a_slow_item_keeps_nobody_waiting() {
    let work = concurrent("work", 3, |_, number: u32| async move {
        if number == 0 {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Ok([number])
    });
    let got = all(numbers(2_000).then(work)).await.unwrap();
    assert_eq!(got.len(), 2_000);
    assert_eq!(got.last(), Some(&0), "all others went past it");
}

#[tokio::test]
async fn concurrency_has_its_bound() {
    let (now, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let seen = Arc::clone(&most);
    let work = concurrent("work", 4, move |_, number: u32| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            let running = {
                let mut now = now.lock().unwrap();
                *now += 1;
                *now
            };
            let known = *most.lock().unwrap();
            *most.lock().unwrap() = known.max(running);
            tokio::time::sleep(Duration::from_millis(1)).await;
            *now.lock().unwrap() -= 1;
            Ok([number])
        }
    });
    assert_eq!(all(numbers(50).then(work)).await.unwrap().len(), 50);
    assert_eq!(*seen.lock().unwrap(), 4);
}

#[tokio::test]
async fn a_batch_is_what_has_accumulated() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let work = batches("work", 100, move |_, batch: Vec<u32>| {
        sizes.lock().unwrap().push(batch.len());
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(batch)
        }
    });
    // One item, and nothing more until that is through: it is not kept waiting for others.
    let gate = Arc::new(tokio::sync::Notify::new());
    let opened = Arc::clone(&gate);
    let first = Stage::new("first", move |_, _, output: Output<u32>| async move {
        output.send(0).await?;
        gate.notified().await;
        for number in 1..=250 {
            output.send(number).await?;
        }
        Ok(())
    });
    let through = one_by_one("through", move |_, number: u32| {
        opened.notify_one();
        async move { Ok([number]) }
    });
    let got = all(first.then(work).then(through)).await.unwrap();
    assert_eq!(got, (0..=250).collect::<Vec<_>>());
    let sizes = seen.lock().unwrap().clone();
    assert_eq!(sizes[0], 1);
    assert!(sizes.iter().any(|size| *size > 10), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
}

#[tokio::test]
async fn what_is_left_out_stops_nobody() {
    let (context, _cancellation, _kept) = context().await;
    let odd = |number: u32| Failure::nowhere(&number.to_string(), "odd");
    let even = one_by_one("even", move |_, number: u32| async move {
        if number % 2 == 1 { Err(odd(number).into()) } else { Ok([number]) }
    });
    let few = concurrent("few", 3, move |_, number: u32| async move {
        if number % 4 == 2 { Err(odd(number).into()) } else { Ok([number]) }
    });
    let mut got = collected(context.clone(), numbers(8).then(even).then(few)).await.unwrap();
    got.sort_unstable();
    assert_eq!(got, [0, 4]);
    let (failures, count) = context.failed();
    let mut names: Vec<_> = failures.into_iter().map(|failure| failure.name).collect();
    names.sort();
    assert_eq!((names.join(" "), count), ("1 2 3 5 6 7".to_owned(), 6));
}

#[tokio::test]
async fn a_stream_that_breaks_has_no_end() {
    type Breaks = fn() -> Stage<u32, u32>;
    let breaks: [Breaks; 3] = [
        || one_by_one("breaks", |_, _: u32| async { Err::<[u32; 1], _>(failed()) }),
        || concurrent("breaks", 2, |_, _: u32| async { Err::<[u32; 1], _>(failed()) }),
        || {
            Stage::new(
                "breaks",
                |_, mut input: tutti_content::pipeline::Input<u32>, output| async move {
                    output.send(1).await?;
                    input.next().await;
                    Err(failed())
                },
            )
        },
    ];
    for breaks in breaks {
        let called = Arc::new(Mutex::new(false));
        let calling = Arc::clone(&called);
        let whole = gather("whole", move |_, all: Vec<u32>| async move {
            *calling.lock().unwrap() = true;
            Ok(all)
        });
        let error = all(numbers(100_000).then(breaks()).then(whole)).await.unwrap_err();
        assert!(matches!(error, Error::Content(_)), "{error:?}");
        assert!(!*called.lock().unwrap(), "half of it was taken for the whole");
    }
}

fn failed() -> Error {
    ContentError::NoRepository("none".into()).into()
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let breaks = concurrent("breaks", 2, |_, number: u32| async move {
        assert!(number < 5, "it is {number}");
        Ok([number])
    });
    let error = all(numbers(100).then(breaks)).await.unwrap_err();
    assert!(matches!(error, Error::Panicked { stage: "breaks", .. }), "{error:?}");
}

#[tokio::test]
async fn a_stage_may_have_enough() {
    let three = Stage::new(
        "three",
        |_, mut input: tutti_content::pipeline::Input<u32>, output| async move {
            for _ in 0..3 {
                if let Some(number) = input.next().await {
                    output.send(number).await?;
                }
            }
            Ok(())
        },
    );
    assert_eq!(all(numbers(1_000_000).then(three)).await.unwrap(), [0, 1, 2]);
}

#[tokio::test]
async fn several_sources_feed_one_stream() {
    let chain = together(vec![numbers(700), numbers(900), numbers(0)]);
    let mut got = all(chain).await.unwrap();
    got.sort_unstable();
    let mut expected: Vec<_> = (0..700).chain(0..900).collect();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn cancelled_it_ends_wherever_it_is() {
    let (context, cancellation, _kept) = context().await;
    let stuck = concurrent("stuck", 5, |_, _: u32| async {
        std::future::pending::<()>().await;
        Ok([0])
    });
    let cancel = cancellation.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        cancel.cancel();
    });
    let error = collected(context, numbers(1_000_000).then(stuck)).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error:?}");
}

#[test]
fn stages_are_put_where_they_belong() {
    let mine = |name| one_by_one(name, |_, unit: Declared| async move { Ok([unit]) });
    let standard = [QUERY, DOWNLOAD, SAVE_ARTIFACTS, SAVE_UNITS, ADD];
    assert_eq!(Stages::standard(1).names(), standard);
    let stages = Stages::standard(1)
        .before(QUERY, mine("a"))
        .and_then(|stages| stages.after(DOWNLOAD, mine("b")))
        .and_then(|stages| stages.replace(SAVE_UNITS, mine("c")))
        .and_then(|stages| stages.without(ADD))
        .unwrap()
        .and(mine("d"));
    assert_eq!(stages.names(), ["a", QUERY, DOWNLOAD, "b", SAVE_ARTIFACTS, "c", "d"]);
    assert!(matches!(stages.without(ADD), Err(Error::NoStage(name)) if name == ADD));
}
