//! Notes in a database: `notes <database> add <text>`, `notes <database> list`, or without arguments a demonstration.
//!
//! The database is a file or a `postgres://` address.

use std::time::{SystemTime, UNIX_EPOCH};

use tutti_store::{Error, Migration, Store, row, sql};

const MIGRATIONS: &[Migration] = &[Migration {
    owner: "notes",
    number: 1,
    name: "note",
    sql: "CREATE TABLE note (number BIGINT PRIMARY KEY, written BIGINT NOT NULL, text TEXT NOT NULL)",
}];

sql! {
    LAST = "SELECT coalesce(max(number), 0) FROM note";
    ADD = "INSERT INTO note (number, written, text) VALUES ($1, $2, $3)";
    LIST = "SELECT number, text FROM note ORDER BY number";
}

row! {
    struct Note { number: i64, text: String }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [database, "add", text] => {
            let store = Store::open(database, MIGRATIONS).await?;
            println!("note {}", add(&store, text.to_owned()).await?);
            store.close().await;
        }
        [database, "list"] => {
            let store = Store::open(database, MIGRATIONS).await?;
            list(&store).await?;
            store.close().await;
        }
        _ => demonstrate().await?,
    }
    Ok(())
}

/// Reading the last number and writing the next is one serializable transaction, so two notes never share a number.
async fn add(store: &Store, text: String) -> Result<i64, Error> {
    let written =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    store
        .write(move |tx| {
            let number = tx.one::<i64>(LAST, ())? + 1;
            tx.exec(ADD, (number, written, &text))?;
            tx.ring("notes");
            Ok(number)
        })
        .await
}

async fn list(store: &Store) -> Result<(), Error> {
    let notes: Vec<Note> = store.read(|tx| tx.all(LIST, ())).await?;
    for note in notes {
        println!("{:>4}  {}", note.number, note.text);
    }
    Ok(())
}

/// A hundred writers at once, and one who waits to be told.
async fn demonstrate() -> Result<(), Error> {
    let file = std::env::temp_dir().join(format!("notes-{}.db", std::process::id()));
    let store = Store::open(&file.display().to_string(), MIGRATIONS).await?;
    let mut bell = store.bell("notes");
    let writers: Vec<_> = (1..=100)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { add(&store, format!("from writer {writer}")).await })
        })
        .collect();
    bell.wait().await;
    println!("the first notes are there");
    for writer in writers {
        writer.await.map_err(|_| Error::Closed)??;
    }
    list(&store).await?;
    store.check().await?;
    store.close().await;
    for beside in ["", ".lock"] {
        // Only a temporary file is left if this fails.
        let _ = std::fs::remove_file(format!("{}{beside}", file.display()));
    }
    Ok(())
}
