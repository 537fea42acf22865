//! The Rust half of the guide in `docs/bus.md`; the other half is a Python service.
//!
//! ```sh
//! LIGHTBUS_CONFIG=lightbus.yaml cargo run -p tutti-bus --example stock
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tutti_bus::config::{Environment, Placeholders, Sources};
use tutti_bus::{Bus, Context, Failure, Result};

/// What is in store.
#[tutti_bus::api(name = "shop.stock")]
pub trait Stock {
    /// Sets articles aside, and answers how many are left.
    async fn reserve(&self, article: String, #[default(1)] count: u32) -> Result<u32>;

    /// The last of an article was set aside.
    #[event]
    fn sold_out(article: String);
}

/// An event of the Python service's API.
#[derive(Serialize, Deserialize, JsonSchema, tutti_bus::Event)]
#[event(api = "shop.orders")]
struct OrderPlaced {
    article: String,
    count: u32,
}

struct Shelves {
    bus: Bus,
    left: Mutex<HashMap<String, u32>>,
}

impl Stock for Shelves {
    async fn reserve(&self, article: String, count: u32) -> Result<u32> {
        let left = self.take(&article, count)?;
        if left == 0 {
            self.bus.fire(SoldOut { article }).await?;
        }
        Ok(left)
    }
}

impl Shelves {
    fn take(&self, article: &str, count: u32) -> Result<u32> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = left.entry(article.to_owned()).or_insert(3);
        let rest = left.checked_sub(count);
        *left =
            rest.ok_or_else(|| Failure::message(format!("only {left} of {article} are left")))?;
        Ok(*left)
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // The very file that `lightbus run` reads.
    let sources = Sources { service_name: Some("stock".to_owned()), ..Sources::default() };
    let configuration =
        sources.load(&Environment::read(), &Placeholders::of_this_process()).await?;
    let bus = Bus::connect(configuration.settings()?).await?;

    let shelves = Shelves { bus: bus.clone(), left: Mutex::default() };
    bus.serve(StockServer(shelves)).await?;
    bus.listen("packing", |order: OrderPlaced, context: Context| async move {
        println!("pack {} × {} ({})", order.count, order.article, context.id());
        Ok(())
    })
    .await?;

    println!("serving shop.stock");
    bus.run_until(async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(())
}
