//! The macro where APIs may stand: in modules, in functions, private, used in part.

#![deny(warnings, missing_docs, unreachable_pub)]

use tutti_bus::{Bus, Event};

/// Of which only the client is used.
mod caller {
    use tutti_bus::Result;
    use tutti_bus::value::{Bytes, DateTime, Decimal};

    /// Prices.
    #[tutti_bus::api(name = "prices")]
    pub(crate) trait Prices {
        /// What it costs.
        async fn of(
            &self,
            r#type: String,
            #[default(None)] at: Option<DateTime>,
        ) -> Result<Decimal>;

        /// Its picture.
        async fn picture(&self) -> Result<Bytes>;

        /// It costs more, or less.
        #[event]
        fn changed(r#type: String, price: Decimal);
    }
}

/// Of which nothing is used.
mod unused {
    #[tutti_bus::api(name = "unused")]
    trait Unused: Clone {
        /// Does nothing.
        async fn nothing(&self) -> tutti_bus::Result<()>;
    }
}

/// Of events only.
mod announcer {
    #[tutti_bus::api(name = "news", version = 7)]
    pub(crate) trait News {
        /// It is so.
        #[event]
        fn flash(text: String);
    }
}

#[tokio::test]
async fn an_api_may_be_private_and_used_in_part() {
    let bus = Bus::offline();
    bus.serve_here(caller::PricesStub::new().on_of(|arguments| {
        assert_eq!(arguments.at, None);
        Ok(arguments.r#type.parse()?)
    }));
    let price = caller::PricesClient::new(&bus).of("12.50").await.unwrap();
    assert_eq!(price.as_str(), "12.50");
    assert_eq!(announcer::Flash::VERSION, 7);
    let schema = caller::prices_schema();
    assert_eq!(schema.rpc("of").unwrap().response["pattern"], r"^-?\d+(\.\d+)?$");
    assert!(schema.rpc("of").unwrap().parameters["properties"]["type"].is_object());
}

#[tokio::test]
async fn an_api_may_stand_in_a_function() {
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Local(i64);

    #[tutti_bus::api(name = "local")]
    trait Here {
        async fn twice(&self, number: Local) -> tutti_bus::Result<Local>;
    }

    struct Twice;

    impl Here for Twice {
        async fn twice(&self, number: Local) -> tutti_bus::Result<Local> {
            Ok(Local(number.0 * 2))
        }
    }

    let bus = Bus::offline();
    bus.serve_here(HereServer(Twice));
    assert_eq!(HereClient::new(&bus).twice(Local(4)).await.unwrap().0, 8);
}
