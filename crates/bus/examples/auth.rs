//! A service and a client on one bus.
//!
//! ```text
//! cargo run --example auth -- serve redis://127.0.0.1:6379/0
//! cargo run --example auth -- call redis://127.0.0.1:6379/0 ann secret
//! cargo run --example auth            # both in this process, without Redis
//! ```
//!
//! A Python service calls it as well: `bus.my_company.auth.check_password(username="ann", password="secret")`.

use tutti_bus::{Address, Bus, Result, Settings};

/// Who may come in.
#[tutti_bus::api(name = "my_company.auth", version = 1)]
pub trait Auth {
    /// Whether the password is right.
    async fn check_password(&self, username: String, password: String) -> Result<bool>;

    /// Somebody came in.
    #[event]
    fn came_in(username: String);
}

struct MyAuth {
    /// Where to announce who came in.
    bus: Option<Bus>,
}

impl Auth for MyAuth {
    async fn check_password(&self, username: String, password: String) -> Result<bool> {
        let is_right = username == "ann" && password == "secret";
        if let (true, Some(bus)) = (is_right, &self.bus) {
            bus.fire(CameIn { username }).await?;
        }
        Ok(is_right)
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", url] => serve(url).await,
        ["call", url, username, password] => {
            call(&connect("client", url).await?, username, password).await
        }
        [] => {
            let bus = Bus::offline();
            bus.serve_here(AuthServer(MyAuth { bus: None }));
            call(&bus, "ann", "secret").await
        }
        _ => Err("arguments: serve URL, or call URL USERNAME PASSWORD, or none".into()),
    }
}

async fn connect(service: &str, url: &str) -> std::result::Result<Bus, Box<dyn std::error::Error>> {
    let settings = Settings::new(service, &std::process::id().to_string(), Address::url(url)?);
    Ok(Bus::connect(settings).await?)
}

async fn serve(url: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let bus = connect("auth", url).await?;
    bus.serve(AuthServer(MyAuth { bus: Some(bus.clone()) })).await?;
    bus.listen("log", |event: CameIn, _| async move {
        println!("{} came in", event.username);
        Ok(())
    })
    .await?;
    println!("serving my_company.auth; Ctrl-C ends it");
    bus.run_until(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("no signals: {error}");
        }
    })
    .await;
    Ok(())
}

async fn call(
    bus: &Bus,
    username: &str,
    password: &str,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let is_right = AuthClient::new(bus).check_password(username, password).await?;
    println!("{}", if is_right { "come in" } else { "stay out" });
    bus.shutdown().await;
    Ok(())
}
