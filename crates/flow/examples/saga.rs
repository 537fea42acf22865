//! A trip is booked: a flight, a car, a hotel. The hotel is full, so the car and the flight are given back, last first. The
//! process is killed twice meanwhile, once while booking and once while giving back, and started again each time.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tutti_flow::{
    Access, Engine, Error, Failure, FlowFilter, FlowState, Format, MIGRATIONS, NewFlow, Outcome,
    Retry, Task, TaskContext, draw, ended,
    pattern::{linear, task},
    query, submit,
};
use tutti_store::Store;
use uuid::Uuid;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How long each booking takes, and each cancellation.
const PAUSE: Duration = Duration::from_millis(200);

struct BookFlight;

#[derive(Deserialize)]
struct Traveller {
    traveller: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Flight {
    flight: String,
    arrival: String,
}

impl Task for BookFlight {
    const NAME: &'static str = "flight.book";
    type Input = Traveller;
    type Output = Flight;

    async fn execute(&self, context: TaskContext, input: Traveller) -> Result<Flight, Failure> {
        let Traveller { traveller } = input;
        println!("book a flight for {traveller}, attempt {}", context.attempt);
        tokio::time::sleep(PAUSE).await;
        Ok(Flight { flight: "TU 1785".into(), arrival: "18:05".into() })
    }

    async fn revert(
        &self,
        _: TaskContext,
        _: Traveller,
        outcome: Outcome<Flight>,
    ) -> Result<(), Failure> {
        give_back("flight", &outcome).await
    }
}

struct RentCar;

/// The flight's arrival is bound by its name.
#[derive(Deserialize)]
struct Rental {
    traveller: String,
    arrival: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Car {
    car: String,
}

impl Task for RentCar {
    const NAME: &'static str = "car.rent";
    type Input = Rental;
    type Output = Car;

    async fn execute(&self, context: TaskContext, input: Rental) -> Result<Car, Failure> {
        let Rental { traveller, arrival } = input;
        println!("rent a car for {traveller} from {arrival}, attempt {}", context.attempt);
        tokio::time::sleep(PAUSE).await;
        Ok(Car { car: "red".into() })
    }

    async fn revert(
        &self,
        _: TaskContext,
        _: Rental,
        outcome: Outcome<Car>,
    ) -> Result<(), Failure> {
        give_back("car", &outcome).await
    }
}

struct BookHotel;

impl Task for BookHotel {
    const NAME: &'static str = "hotel.book";
    type Input = Traveller;
    type Output = ();

    async fn execute(&self, context: TaskContext, input: Traveller) -> Result<(), Failure> {
        println!("book a hotel for {}, attempt {}", input.traveller, context.attempt);
        tokio::time::sleep(PAUSE).await;
        Err(Failure::Terminal("every room is taken".into()))
    }

    /// A task that failed is undone too: it may have had part of its effect.
    async fn revert(
        &self,
        _: TaskContext,
        _: Traveller,
        outcome: Outcome<()>,
    ) -> Result<(), Failure> {
        give_back("hotel", &outcome).await
    }
}

async fn give_back<T: std::fmt::Debug>(what: &str, outcome: &Outcome<T>) -> Result<(), Failure> {
    println!("give back the {what}: {outcome:?}");
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

fn trip() -> Result<NewFlow, Error> {
    let trip = linear("trip")
        .title("a trip to Vienna")
        .or_revert()
        .inject("traveller", "Wolfgang")
        .add(task::<BookFlight>().title("book the flight"))
        .add(task::<RentCar>().title("rent the car"))
        .add(task::<BookHotel>().title("book the hotel").retry(Retry::never()))
        .build(Uuid::now_v7())?;
    let resources = vec![("traveller/wolfgang".into(), Access::Exclusive)];
    Ok(NewFlow { resources, ..trip })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    if let Some(file) = std::env::args().nth(1) {
        return run(&file).await;
    }
    println!("{}", draw(&trip()?, Format::Mermaid, |_| None));
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("flows.db");
    for lines in [Some(2), Some(3), None] {
        println!("a process starts");
        start_and_kill(&file, lines)?;
    }
    println!("done: nothing is booked, and nothing was forgotten");
    Ok(())
}

/// Starts this program on the database and kills it after so many lines, or lets it end.
fn start_and_kill(file: &Path, lines: Option<usize>) -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let mut child = Command::new(program).arg(file).stdout(Stdio::piped()).spawn()?;
    let out = child.stdout.take().map(|out| BufReader::new(out).lines());
    for line in out.into_iter().flatten().take(lines.unwrap_or(usize::MAX)) {
        println!("  {}", line?);
    }
    if lines.is_some() {
        // On Unix this is SIGKILL: nothing can be tidied up.
        child.kill()?;
        println!("  killed");
    }
    let status = child.wait()?;
    if lines.is_none() && !status.success() {
        return Err("the trip was not given back".into());
    }
    Ok(())
}

/// Submits the flow unless it is there, and runs it to its end.
async fn run(file: &str) -> Result<(), Failed> {
    let store = Store::open(file, MIGRATIONS).await?;
    let filter = FlowFilter::default();
    let flows = store.read(move |tx| query::flows(tx, &filter)).await?;
    let id = match flows.first() {
        Some(flow) => flow.id,
        None => {
            let flow = trip()?;
            let submitted = store.write(move |tx| {
                let now = tx.now()?;
                submit(tx, flow.clone(), now)
            });
            submitted.await?.id
        }
    };
    let engine = Engine::builder(store.clone())
        .task(BookFlight)
        .task(RentCar)
        .task(BookHotel)
        .lease(Duration::from_secs(2))
        .start()
        .await?;
    let flow = ended(&store, id).await?;
    println!("the trip is {}", flow.state);
    engine.stop().await;
    store.close().await;
    if flow.state == FlowState::Reverted { Ok(()) } else { Err("not reverted".into()) }
}
